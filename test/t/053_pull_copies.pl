#
# Work that is out when a database is dumped: the copy gives nothing out until it is adopted, and then what the original would. Whoever has
# fetched it in the original has it in the copy, too, until his lock runs out. And work that ended while somebody's transaction had its row
# is deleted when that is over.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;
use WorkflowTest;

my $node = new_server('pull_copies', extension => 0);
$node->safe_psql('postgres', 'CREATE DATABASE shop');
add_extension($node, 'shop');
sub sql { return $node->safe_psql('shop', $_[0]) }
sql(q[SELECT workflow.define('work', '{"steps": [{"step": "do", "wait": {"topic": "work", "data": "${$.name}"}, "save": {"by": "${$result.response}"},
	"retry": {"max": 3, "delay": "1 h"}, "timeout": "10 h"}]}')]);
sub start { return sql("SELECT workflow.start('work', '{\"name\": \"$_[0]\"}')") }
# what is fetched first is what was there first, since there is nothing else then
sub fetch { return split /\|/, sql("SELECT serial_number, lock_token FROM workflow.fetch('work', lock => '$_[0]')") }

# ---- one of each kind ----

start('failed');
my ($failed, $its_token) = fetch('1 h');
is(sql("SELECT workflow.fail('$failed', 'BUSY', lock_token => '$its_token')"), 't', 'one has failed, and is tried again in an hour');
start('locked');
my ($locked, $token) = fetch('1 h');
start('lost');
my ($lost, $lost_token) = fetch('1 ms');
my $held = start('held');
sql("SELECT workflow.suspend($held)");
my $ended = start('ended');
# somebody's transaction has the row of one whose instance ends; dumped in between
my $session = Session->new($node, 'shop');
$session->run('BEGIN', "SELECT * FROM workflow_data.work WHERE instance = $ended FOR UPDATE");
sql("SELECT workflow.cancel($ended)");
is(sql("SELECT count(*) FROM workflow_data.work w JOIN workflow_data.work_note n USING (work) WHERE w.instance = $ended AND n.gone"), 1, 'one has ended, its row is there still');
start('free');

my $look = "SELECT topic, ready, locked, paused FROM workflow.topics";
my $picture = sql($look);
is($picture, 'work|2|1|2', 'two can be fetched, one is locked, two are paused');
my $dump = $node->basedir . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('shop') ], 'pg_dump');

# ---- what is left of what ended ----

sub upkeep { sql("UPDATE workflow_data.delivery SET due_at = clock_timestamp() WHERE kind = 'maintain'; SELECT workflow.start('tidy')") }
sql(q[SELECT workflow.define('tidy', '{"steps": [{"step": "do", "sql": "SELECT 1"}]}')]);
upkeep();
is_soon($node, 'shop', "SELECT due_at > clock_timestamp() + interval '1 min' FROM workflow_data.delivery WHERE kind = 'maintain'", 't', 'upkeep has run');
is(sql("SELECT count(*) FROM workflow_data.work w JOIN workflow_data.work_note n USING (work) WHERE w.instance = $ended"), 1, 'what somebody has locked stays');
$session->run('COMMIT');
is(sql("SELECT count(*) FROM workflow_data.work WHERE instance = $ended"), 1, 'it is there when that is over');
upkeep();
is_soon($node, 'shop', "SELECT count(*) FROM workflow_data.work WHERE instance = $ended", 0, 'and upkeep deletes it');
is_soon($node, 'shop', 'SELECT count(*) FROM workflow_data.work_note', 0, '... with its note');
is(sql('SELECT count(*) FROM workflow_data.work'), 5, '... and nothing else');

# ---- the copy ----

my $other = new_server('other', extension => 0);
$other->safe_psql('postgres', 'CREATE DATABASE shop');
$other->command_ok([ 'pg_restore', '--exit-on-error', '-d', $other->connstr('shop'), $dump ], 'pg_restore');
sub shop { return $other->safe_psql('shop', $_[0]) }
is(shop($look), $picture, 'the copy is whole');
my (undef, undef, $refused) = $other->psql('shop', "\\set VERBOSITY verbose\nSELECT * FROM workflow.fetch('work')");
like($refused, qr/55000: work cannot be fetched in this database: it is a copy/, 'and gives nothing out');
like($refused, qr/workflow\.adopt\(\)/, '... until it is adopted');
is(shop($look), $picture, '... nothing has changed by that');
is(shop("SELECT workflow.extend('$locked', '2 h', '$token') > now() + interval '1 h'"), 't', 'whoever has fetched work can hold it');
isnt(shop('SELECT workflow.adopt()'), '', 'adopted');
# the session that was refused before, and another one
is(join(' ', sort split /\n/, shop("SELECT data ->> 0 FROM workflow.fetch('work', 10)")), 'free lost', 'what is free is fetched, and no more');
is(shop("SELECT workflow.complete('$locked', '\"copy\"', '$token')"), 't', 'who has fetched work in the original ends it');
is(shop("SELECT workflow.complete('$lost', '\"late\"', '$lost_token')"), 'f', '... but for what somebody else has here');
shop("SELECT workflow.resume($held)");
is(shop("SELECT data ->> 0 FROM workflow.fetch('work', 10)"), 'held', 'what was suspended is fetched when it is resumed');
is(shop("SELECT free_at > now() + interval '50 min', failures FROM workflow_data.work w WHERE workflow.serial_number(instance, visit) = '$failed'"), 't|1', 'what has failed waits on');
is_soon($other, 'shop', "SELECT data ->> 'by' FROM workflow.instances WHERE instance = split_part('$locked', '_', 1)::bigint", 'copy', 'the instance goes on');
my $newest = sql('SELECT max(work) FROM workflow_data.work');
shop("SELECT workflow.start('work', '{\"name\": \"new\"}')");
cmp_ok(shop('SELECT max(work) FROM workflow_data.work'), '>', $newest, 'new work has numbers beyond those of the original');
is(shop("SELECT data ->> 0 FROM workflow.fetch('work', 10)"), 'new', '... and is fetched');
is(sql($look), $picture, 'the original did not notice');
is(sql("SELECT workflow.complete('$locked', '\"original\"', '$token')"), 't', '... where the same token counts');

$node->stop;
$other->stop;
done_testing();
