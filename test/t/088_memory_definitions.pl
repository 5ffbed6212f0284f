#
# Compiled definitions are kept up to workflow.definition_cache, in sessions and workers: what was thrown away is compiled again.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use Scene;
use Test::More;
use WorkflowTest;

my $VERSIONS = 12;
my $scene = Scene->new('definitions', conf => "workflow.executors = 1\nworkflow.definition_cache = 8MB\n");
my $node = $scene->node;
my $kept = "SELECT coalesce(sum(total_bytes), 0) <= 8 * 1024 * 1024, count(*) FROM pg_backend_memory_contexts WHERE name = 'workflow process'";

# About 400 kB, of which the first steps are made. The longer it is, the more is there to be freed.
sub large
{
	my ($n) = @_;
	my $headers = Scene::HEADERS;
	my $steps = join(",\n", map { qq({"step": "s$_", "http": {"server": "partner", "path": "/nothing/\${\$.id}/of/\${\$business_key}", "headers": {"X-Id": "\${\$.id}"},
		"body": {"id": "\${\$.id}", "name": "\${\$.name} of \${\$.place}", "list": [1, 2, "three", {"a": null, "b": true}]}}, "save_reply": {"r$_": "\${\$reply.body}"}}) } 1 .. 1500);
	return qq({"steps": [{"step": "call", "http": {"server": "partner", "path": "/echo", "headers": {$headers}, "body": {"n": $n}}, "save_reply": {"echo": "\${\$reply.body.body.n}"}},
		{"step": "sql", "sql": "SELECT $n + count(*) AS version FROM pg_class WHERE false", "save_reply": {"sql": "\${\$reply.row.version}"}},
		{"step": "stand", "wait": true, "save": {"said": "\${\$result.response}"}, "catch": [{"on": "*", "next": "s1"}], "end": true}, $steps]});
}

# ---- many large versions, one after the other ----

$scene->define('large', large($_)) for 1 .. $VERSIONS;
my @instances = map { $scene->sql("SELECT workflow.start('large', version => $_)") } 1 .. $VERSIONS;
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.waiting WHERE process = 'large'", $VERSIONS, 'all versions go their way, through dispatcher and executor');
is($scene->sql("SELECT bool_and(data->>'echo' = version::text AND data->>'sql' = version::text) FROM workflow.instances"), 't', '... each by its own definition and its own SQL');
my $limit = 100 * 1024; # twelve of them would take more than twice that
for my $kind ('dispatcher', 'executor')
{
	my $pid = worker_pid($node, $kind, 'postgres');
	cmp_ok(private_kb($pid), '<', $limit, "... of which the $kind does not keep them all") or diag(private_kb($pid));
}

# ---- again, round and round ----

@instances = map { $scene->sql("SELECT workflow.start('large', version => $_)") } (1 .. 3) x 2;
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.waiting WHERE process = 'large'", $VERSIONS + 6, 'thrown away, they are compiled again');
is($scene->sql("SELECT bool_and(data->>'echo' = version::text AND data->>'sql' = version::text) FROM workflow.instances"), 't', '... and are what they were');

# ---- sessions ----

my $serials = $scene->sql("SELECT string_agg(format('SELECT workflow.complete(%L, to_jsonb(%s)) \\g /dev/null', serial_number, version), E'\\n' ORDER BY version) FROM workflow.waiting JOIN workflow.instances USING (instance) WHERE workflow.waiting.process = 'large'");
is($scene->sql("$serials\n$kept"), 't|0', 'a session keeps none that is larger than all it may keep');
is($scene->sql("SELECT bool_and(data->>'said' = version::text AND status = 'completed') FROM workflow.instances"), 't', '... though it has moved tokens by all of them');

$scene->define('small', '{"steps": [{"step": "stand", "wait": true}]}');
is($scene->sql("SELECT workflow.start('small') \\g /dev/null\nSELECT workflow.start('large') \\g /dev/null\nSELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'workflow process'"), 0, 'the last one used goes last');
is($scene->sql("SELECT workflow.start('large') \\g /dev/null\nSELECT workflow.start('small') \\g /dev/null\n$kept"), 't|1', 'small ones are kept');
is($scene->sql("BEGIN; SELECT workflow.start('large') \\g /dev/null\nSELECT workflow.start('large', version => 1) \\g /dev/null\nSELECT workflow.start('large') \\g /dev/null\nSELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'workflow process'; ROLLBACK; $kept"),
	"2\nt|0", 'within a transaction all are kept, afterwards they are not, even if it is rolled back');

# ---- defined by the transaction itself: compiled once, and gone with it ----

my $big = large(99);
is($scene->sql("BEGIN; SELECT workflow.define('own', \$d\$$big\$d\$) \\g /dev/null\nSELECT workflow.start('own') FROM generate_series(1, 20) \\g /dev/null\nSELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'workflow process'; ROLLBACK; $kept"),
	"1\nt|0", 'what a transaction has defined is compiled once');
is($scene->sql(q[BEGIN; SAVEPOINT s; SELECT workflow.define('again', '{"steps": [{"step": "first", "wait": true}]}') \g /dev/null
	SELECT workflow.start('again') \g /dev/null
	ROLLBACK TO s; SELECT workflow.define('again', '{"steps": [{"step": "second", "wait": true}]}') \g /dev/null
	SELECT workflow.start('again') \g /dev/null
	SELECT step FROM workflow.visits WHERE process = 'again'; COMMIT; SELECT workflow.start('again') \g /dev/null
	SELECT string_agg(step, ' ') FROM workflow.visits WHERE process = 'again']), "second\nsecond second", 'a number that is used again stands for its new definition');

# ---- the setting ----

$node->append_conf('postgresql.conf', 'workflow.definition_cache = 100MB');
$node->reload;
is_soon($node, 'postgres', 'SHOW workflow.definition_cache', '100MB', 'more may be kept after a reload');
is($scene->sql("SELECT workflow.start('large', version => n) FROM generate_series(1, 3) n \\g /dev/null\nSELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'workflow process'"), 3, '... and is');

done_testing();
