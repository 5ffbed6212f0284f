#
# Messages that start an instance, by executors: in whichever moment the server dies, each starts one, and none starts two. One whose business
# key has a living instance waits until that has ended, also over a crash, and its time may run out.
#
# takes long
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $node = new_server('starts', conf => "wal_writer_delay = 10s\nworkflow.careful_after_crash = 0\n");
sub sql { return $node->safe_psql('postgres', $_[0]) }
sql(q[
	SELECT workflow.define('child', '{"start_on": [{"message": "born", "business_key": "${$.n}"}], "steps": [{"step": "live", "wait": true}]}');
	SELECT workflow.define('parent', '{"steps": [{"step": "send", "send": {"message": "born", "data": {"n": "${$.n}"}, "ttl": "1 day"}}, {"step": "done", "wait": true}]}');
	SELECT workflow.define('careful parent', '{"steps": [{"step": "send", "send": {"message": "born", "data": {"n": "${$.n}"}, "message_id": "${$.n}"}}, {"step": "done", "wait": true}]}');
	SELECT workflow.define('plain parent', '{"steps": [{"step": "send", "send": {"message": "born", "data": {"n": "${$.n}"}}}, {"step": "done", "wait": true}]}');
]);

my $started = "SELECT count(*) FROM workflow.instances WHERE process = 'child'";
my $waiting = "SELECT count(*) FROM workflow_data.delivery WHERE kind = 'start'";
sub crash_and_start { crash($node); start_again($node) }

# ---- thousands, while the server is killed ----

my $N = 3000;
my $sent = sql("SET synchronous_commit = off; SELECT count(workflow.start((ARRAY['parent', 'careful parent', 'plain parent'])[1 + n % 3], jsonb_build_object('n', n))) FROM generate_series(1, $N) n");
is($sent, $N, 'so many send');
for my $round (1 .. 4)
{
	my $before = sql($started);
	wait_until(sub { sql($started) > $before + 100 || sql($started) == $N }, "some have started, round $round");
	cmp_ok(sql($started), '<', $N, '... not all') if $round == 1;
	crash_and_start();
}
is_soon($node, 'postgres', $started, $N, 'all have started');
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.waiting WHERE process LIKE '%parent' AND step = 'done'", $N, 'and all senders have gone on');
is_soon($node, 'postgres', $waiting, 0, 'nothing is on its way');
is(sql("SELECT count(DISTINCT business_key) FROM workflow.instances WHERE process = 'child'"), $N, 'each once');
is(sql('SELECT count(*) FROM workflow_data.message WHERE delivered_at IS NULL'), 0, 'no message is left');
is(sql("SELECT count(*) FROM workflow.incidents"), 0, 'nothing has failed');

# ---- kept, and then defined ----

sql("SELECT workflow.define('late', '{\"steps\": [{\"step\": \"x\", \"wait\": {\"message\": \"late\"}}]}')");
is(sql("SET synchronous_commit = off; SELECT DISTINCT workflow.send_message('late', data => jsonb_build_object('n', n), ttl => '1 h') FROM generate_series(1, 200) n"), 'kept', 'kept');
crash_and_start();
sql("SELECT workflow.define('late', '{\"start_on\": [{\"message\": \"late\"}], \"steps\": [{\"step\": \"here\", \"wait\": true}]}')");
wait_until(sub { sql("SELECT count(*) FROM workflow.instances WHERE process = 'late'") > 0 }, 'the first have started');
crash_and_start();
is_soon($node, 'postgres', "SELECT count(*), count(DISTINCT data) FROM workflow.instances WHERE process = 'late'", '200|200', 'each has started one');
is_soon($node, 'postgres', $waiting, 0, 'nothing is on its way');
is(sql('SELECT count(*) FROM workflow.messages'), 0, 'none is kept');

# ---- a business key that lives ----

sql("SELECT workflow.define('both', '{\"steps\": [{\"step\": \"fork\", \"next\": [\"a\", \"b\"]}, "
	  . "{\"step\": \"a\", \"send\": {\"message\": \"born\", \"data\": {\"n\": \"twin\", \"first\": true}}, \"end\": true}, "
	  . "{\"step\": \"b\", \"send\": {\"message\": \"born\", \"data\": {\"n\": \"twin\"}, \"ttl\": \"1 day\"}, \"end\": true}]}')");
my $twins = "SELECT count(*) FROM workflow.instances WHERE process = 'child' AND business_key = 'twin'";
sql("SELECT workflow.start('both')");
is_soon($node, 'postgres', "SELECT count(*) FROM workflow_data.delivery WHERE kind = 'start' AND attempt > 1", 1, 'the second one waits, and is tried again');
is(sql($twins), 1, '... one lives');
is(sql("SELECT queued FROM workflow.message_starts WHERE name = 'born'"), 1, '... the view shows that');
crash_and_start();
stays(2, sub { sql($twins) }, 1, 'after a crash, too');
sql("SELECT workflow.cancel(instance) FROM workflow.instances WHERE business_key = 'twin' AND ended_at IS NULL");
is_soon($node, 'postgres', $twins, 2, 'when it has ended, the other one starts');
is_soon($node, 'postgres', $waiting, 0, '... and nothing is on its way');
like(slurp_file($node->logfile), qr/message "born" has to wait before it starts an instance of process "child".*business key "twin"/, '... which the log tells');

# whose time runs out
sql("SELECT workflow.define('short', '{\"steps\": [{\"step\": \"fork\", \"next\": [\"a\", \"b\"]}, "
	  . "{\"step\": \"a\", \"send\": {\"message\": \"born\", \"data\": {\"n\": \"short\"}, \"ttl\": \"3 s\"}, \"end\": true}, "
	  . "{\"step\": \"b\", \"send\": {\"message\": \"born\", \"data\": {\"n\": \"short\"}, \"ttl\": \"3 s\"}, \"end\": true}]}')");
sql("SELECT workflow.start('short')");
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE business_key = 'short'", 1, 'one starts');
is_soon($node, 'postgres', $waiting, 0, 'the other one is given up when its time is over');
is(sql('SELECT count(*) FROM workflow_data.message WHERE delivered_at IS NULL'), 0, '... with its message');
like(slurp_file($node->logfile), qr/WARNING: .*gives up message "born", which was to start an instance of process "child"/, '... and a warning');

$node->stop;
done_testing();
