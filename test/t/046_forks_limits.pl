#
# What bounds forks, joins and sub-processes: tokens, memory, and what a worker loads at once.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $node = new_server('forks_limits');
my $session = $node->background_psql('postgres');

sub sql { return $session->query_safe($_[0]) }

# ---- tokens ----

$node->append_conf('postgresql.conf', 'workflow.max_tokens = 10');
$node->reload;
is_soon($node, 'postgres', 'SHOW workflow.max_tokens', 10, 'ten tokens');
my $many = join ', ', map { qq("b$_") } 1 .. 11;
sql("SELECT workflow.define('fork', '{\"data\": {\"saved\": false}, \"steps\": [{\"step\": \"f\", \"save\": {\"saved\": true}, \"next\": [$many]}, " . join(', ', map { qq({"step": "b$_", "end": true}) } 1 .. 11) . "]}')");
my $instance = sql("SELECT workflow.start('fork')");
is(sql("SELECT step, error ->> 'code', error ->> 'message' FROM workflow.incidents WHERE instance = $instance"), 'f|move|there would be 11 tokens, more than workflow.max_tokens allows', 'a fork of eleven fails');
is(sql("SELECT data ->> 'saved' FROM workflow.instances WHERE instance = $instance"), 'false', '... before anything has changed');
sql(q[SELECT workflow.define('caught', '{"data": {"x": 0}, "steps": [
	{"step": "a", "success": "$.x == 1", "catch": [{"on": "FAILED", "next": ["b", "c"]}], "end": true},
	{"step": "b", "wait": {"after": "1 ms"}, "next": "a"}, {"step": "c", "wait": {"after": "1 ms"}, "next": "a"}]}')]);
$instance = sql("SELECT workflow.start('caught')");
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.incidents WHERE instance = $instance", 10, 'nor do forks of handlers go beyond that');
is(sql("SELECT DISTINCT step || ' ' || (error ->> 'code') FROM workflow.incidents WHERE instance = $instance"), 'a move', '... with the reason');
# each of them leads to two others, none of which may begin: the number doubles, but not for ever
sql("SELECT workflow.define('ring', '{\"steps\": [" . join(', ', map { my $n = $_; qq({"step": "s$n", "wait": true, "end": true, "catch": [{"on": "CANCELLED", "next": ["s) . ($n + 1) % 30 . '", "s' . ($n + 2) % 30 . '"]}]}' } 0 .. 29) . "]}')");
$node->append_conf('postgresql.conf', 'workflow.max_tokens = 100000');
$node->reload;
is_soon($node, 'postgres', 'SHOW workflow.max_tokens', 100_000, 'many tokens');
$instance = sql("SELECT workflow.start('ring')");
is(sql("SELECT workflow.cancel($instance)"), 't', 'a ring of handlers of what may not begin comes to its end');
is(sql("SELECT status FROM workflow.instances WHERE instance = $instance"), 'aborted', '... and so does the instance');

# ---- memory ----

# A worker loads visits up to a budget: one that stands at a join is loaded whatever else there is.
sql(q[SELECT workflow.define('large', '{"steps": [{"step": "f", "next": ["a", "b"]},
	{"step": "a", "wait": true, "success": "false", "end": true, "catch": [{"on": "FAILED", "next": "j"}]},
	{"step": "b", "wait": {"signal": "large: go on"}, "next": "j"}, {"step": "j", "join": "all", "end": true}]}')]);
sql(q[SELECT count(workflow.start('large')) FROM generate_series(1, 60)]);
sql(q[SELECT count(workflow.complete(serial_number, jsonb_build_object('x', repeat(md5(serial_number), 30000)))) FROM workflow.waiting WHERE process = 'large' AND step = 'a']);
is(sql("SELECT count(*) FROM workflow.visits WHERE process = 'large' AND step = 'j'"), 60, 'sixty large visits stand at joins');
sql(q[SELECT workflow.send_signal('large: go on')]);
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'large' AND status = 'completed'", 60, '... and all of them go on');

# What a scope shows as data is not made anew for each step.
sub peak_mb { my ($pid) = @_; return slurp_file("/proc/$pid/status") =~ /^VmHWM:\s*(\d+)/m ? int($1 / 1024) : die }
sql(q[SELECT workflow.define('local', '{"steps": [{"step": "s", "local": {"n": 0}, "steps": [
	{"step": "a", "set": {"n": "${$.n + 1}"}, "choose": [{"when": "$.n >= 300", "next": "w"}, {"next": "a"}]}, {"step": "w", "wait": true}]}]}')]);
my $backend = sql('SELECT pg_backend_pid()');
$instance = sql(q[SELECT workflow.start('local', jsonb_build_object('x', repeat('x', 1000000)))]);
is_soon($node, 'postgres', "SELECT step FROM workflow.waiting WHERE instance = $instance", 'w', 'three hundred steps beside large data');
cmp_ok(peak_mb($backend), '<', 400, 'take little memory: ' . peak_mb($backend) . ' MB');

# ---- what is suspended at a join ----

sql(q[SELECT workflow.define('beats', '{"steps": [{"step": "f", "next": ["j", "b"]}, {"step": "b", "wait": true, "next": "j"},
	{"step": "j", "join": "all", "wait": true, "heartbeat": "0.3 s", "end": true}]}')]);
$instance = sql("SELECT workflow.start('beats')");
sql("SELECT workflow.suspend($instance); SELECT workflow.resume($instance); SELECT pg_sleep(1)");
is(sql("SELECT string_agg(step || ' ' || state, ', ' ORDER BY step) FROM workflow.visits WHERE instance = $instance"), 'b waiting, j waiting', 'nothing beats at a join');

$session->quit;
done_testing;
