#
# Lists of items with requests and clocks: so many at a time, until it is enough, suspended in the middle, handlers; long ones, which a crash
# in the middle neither shortens nor repeats; what bounds them.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Scene;
use Session;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $LONG = $ENV{WF_LONG} ? 10_000 : 2_000;

my $scene = Scene->new('each', conf => "workflow.executors = 2\nworkflow.max_data = 1MB\n");
my $node = $scene->node;
my $H = '"headers": {' . Scene::HEADERS . '}';

sub status { return $scene->sql("SELECT status FROM workflow.instances WHERE instance = $_[0]") }
sub list { return { list => [ 0 .. $_[0] - 1 ] } }
sub outcomes
{
	return $scene->sql("SELECT string_agg(n || ' ' || outcome, ', ' ORDER BY outcome) FROM (SELECT outcome, count(*) AS n "
		. "FROM workflow.history WHERE instance = $_[0] AND item IS NOT NULL GROUP BY 1) h");
}
sub states
{
	return $scene->sql("SELECT string_agg(item || ' ' || state, ', ' ORDER BY item) FROM workflow.visits WHERE instance = $_[0] AND item IS NOT NULL");
}
sub rows { return $scene->sql("SELECT count(*) FROM workflow_data.item WHERE instance = $_[0]") }

# ---- so many at a time; what each is answered is collected ----

$scene->define('parallel', qq[{"steps": [{"step": "e", "each": {"in": "\$.list", "parallel": 2, "collect": "got"},
	"http": {"server": "partner", "path": "/held", "query": {"item": "\${\$item}"}, $H}, "end": true}]}]);
my $instance = $scene->start('parallel', list(5));
$scene->wait_for_requests(2, $instance);
stays(0.5, sub { scalar $scene->requests($instance) }, 2, 'two are under way');
is(states($instance), '0 calling, 1 calling', 'the first two');
for my $n (2, 4, 5)
{
	$scene->wait_for_requests($n, $instance);
	$scene->let_go($instance);
}
is($scene->finish($instance), 'completed', 'all have ended');
is(scalar(@{ $scene->data($instance)->{got} }), 5, 'what each was answered is there');
is(join(' ', sort map { $_->{query}{item} } $scene->requests($instance)), '0 1 2 3 4', 'each item was sent once');

# ---- until it is enough: what is under way is asked to stop ----

$scene->define('until', qq[{"steps": [{"step": "e", "each": {"in": "\$.list", "until": "\$result.response == \\"yes\\""},
	"http": {"server": "partner", "path": "/status/202", $H}, "wait": true, "cancel": {"path": "/stop/\${\$item}", "timeout": "0", $H}, "end": true}]}]);
$instance = $scene->start('until', list(3));
$scene->wait_for_requests(3, $instance);
wait_until(sub { states($instance) eq '0 waiting, 1 waiting, 2 waiting' }, 'all wait');
$scene->sql("SELECT workflow.complete(serial_number, to_jsonb('yes'::text)) FROM workflow.waiting WHERE instance = $instance AND item = 1");
is($scene->finish($instance), 'completed', 'one suffices');
is(join(' ', sort map { $_->{path} } grep { $_->{path} =~ /stop/ } $scene->requests($instance)), '/stop/0 /stop/2', 'the others were asked to stop, by their items');
is(outcomes($instance), '2 CANCELLED, 1 SUCCESS', 'each has its outcome');

# ---- one that fails stands, the others go on; a handler of the process ends all ----

$scene->define('fails', qq[{"steps": [{"step": "e", "each": "\$.list", "http": {"server": "partner", "path": "/status/\${\$item}", $H}, "end": true}]}]);
$instance = $scene->start('fails', { list => [ 200, 404, 201 ] });
wait_until(sub { states($instance) eq '1 incident' }, 'the one that failed');
is(status($instance), 'failed', 'the instance has failed');
$scene->sql("SELECT workflow.skip(serial_number) FROM workflow.incidents WHERE instance = $instance");
is($scene->finish($instance), 'completed', 'it goes on when that is skipped');
$scene->define('caught', qq[{"catch": [{"on": "4xx", "next": "late"}], "steps": [
	{"step": "e", "each": "\$.list", "http": {"server": "partner", "path": "/status/\${\$item}", $H}, "wait": {"after": "1 h"}, "end": true},
	{"step": "late", "set": {"caught": "\${\$caught.step} \${\$caught.error.http_status}"}, "end": true}]}]);
$instance = $scene->start('caught', { list => [ 200, 404, 201 ] });
is($scene->finish($instance), 'completed', 'a handler of the process');
is($scene->data($instance)->{caught}, 'e 404', 'it sees the item');
is(rows($instance), 0, 'nothing is left of the list');

# ---- a timeout of the whole ----

$scene->define('timed', qq[{"steps": [{"step": "e", "each": {"in": "\$.list", "parallel": 1}, "wait": {"after": "200 ms"}, "timeout": "500 ms",
	"catch": [{"on": "TIMED_OUT", "next": "late"}], "end": true}, {"step": "late", "set": {"late": true}, "end": true}]}]);
$instance = $scene->start('timed', list(100));
is($scene->finish($instance), 'completed', 'a timeout ends all');
ok($scene->data($instance)->{late}, 'its handler goes on');
cmp_ok($scene->sql("SELECT count(*) FROM workflow.history WHERE instance = $instance AND item IS NOT NULL"), '<', 50, 'most items were never begun');

# ---- suspended in the middle ----

$scene->define('suspended', qq[{"steps": [{"step": "e", "each": {"in": "\$.list", "parallel": 3, "collect": "got"},
	"http": {"server": "partner", "path": "/held", $H}, "end": true}]}]);
$instance = $scene->start('suspended', list(6));
$scene->wait_for_requests(3, $instance);
$scene->sql("SELECT workflow.suspend($instance)");
$scene->let_go($instance);
stays(0.5, sub { scalar $scene->requests($instance) }, 3, 'suspended: none is begun');
$scene->sql("SELECT workflow.resume($instance)");
$scene->wait_for_requests(6, $instance);
$scene->let_go($instance);
is($scene->finish($instance), 'completed', 'resumed: the others follow');
is(outcomes($instance), '6 SUCCESS', 'each of them once');

# ---- what is collected may be too much: whoever goes on says what it is ----

$scene->define('large', qq[{"steps": [{"step": "e", "each": {"in": "\$.list", "collect": "got"}, "wait": true, "end": true}]}]);
$instance = $scene->start('large', list(3));
$scene->sql("SELECT workflow.complete(serial_number, to_jsonb(repeat('x', 600000))) FROM workflow.waiting WHERE instance = $instance");
is($scene->incident($instance)->{error}{code}, 'data', 'too much to collect');
is(rows($instance), 3, 'what they gave is kept');
$scene->sql("SELECT workflow.skip(serial_number, '[]') FROM workflow.incidents WHERE instance = $instance");
is($scene->finish($instance), 'completed', 'skipped');
is_deeply($scene->data($instance)->{got}, [], 'with what was given instead');

# ---- a long list, and crashes in the middle of it ----

$scene->sql("CREATE TABLE done (instance bigint, item integer)");
$scene->define('long', qq[{"steps": [
	{"step": "e", "each": {"in": "\$.list", "collect": "got"}, "local": {"i": "\${\$index}"}, "steps": [
		{"step": "a", "set": {"i": "\${\$.i + 1}"}},
		{"step": "b", "sql": "INSERT INTO done VALUES (visit.instance, visit.index)", "end": true}], "end": true}]}]);
$scene->define('plain', qq[{"steps": [{"step": "e", "each": {"in": "\$.list", "collect": "got"}, "local": {"i": "\${\$index}"}, "steps": [{"step": "a"}], "end": true}]}]);
$scene->define('sent', qq[{"steps": [{"step": "e", "each": {"in": "\$.list", "parallel": 50}, "http": {"server": "partner", "path": "/status/200", "query": {"i": "\${\$index}"}, $H}, "end": true}]}]);
my %long = map { $_ => $scene->start($_, list($LONG)) } qw(long plain sent);
for my $part (0.1, 0.5)
{
	wait_until(sub { $scene->sql("SELECT count(*) FROM done") >= $LONG * $part }, 'some have ended');
	crash($node);
	start_again($node);
}
is($scene->finish($long{$_}), 'completed', "$_: after two crashes") for sort keys %long;
is($scene->sql("SELECT count(*), count(DISTINCT item) FROM done WHERE instance = $long{long}"), "$LONG|$LONG", 'what they have done was done once for each');
for my $name (qw(long plain))
{
	is($scene->sql("SELECT jsonb_array_length(data -> 'got') FROM workflow.instances WHERE instance = $long{$name}"), $LONG, "$name: each has given something");
	is($scene->sql("SELECT count(*) FROM workflow.instances, jsonb_array_elements(data -> 'got') WITH ORDINALITY g (got, n) "
		. "WHERE instance = $long{$name} AND (got ->> 'i')::int = n" . ($name eq 'plain' ? ' - 1' : '')), $LONG, "$name: in the order of the list");
}
is($scene->sql("SELECT count(*), count(DISTINCT item) FROM workflow.history WHERE instance = $long{$_} AND step = 'e' AND item IS NOT NULL AND outcome = 'SUCCESS'"),
	"$LONG|$LONG", "$_: each item has ended once") for sort keys %long;
is($scene->sql("SELECT count(*) FROM workflow_data.item"), 0, 'no item is left');

# ---- a list that somebody has locked keeps others from nothing ----

$scene->define('slow', q[{"steps": [{"step": "e", "each": "$.list", "sql": "SELECT pg_sleep(0.05)", "end": true}]}]);
my $locked = $scene->start('slow', list(60));
my $holder = Session->new($node, 'postgres');
$holder->run('BEGIN', "SELECT FROM workflow_data.instance WHERE instance = $locked FOR NO KEY UPDATE");
is($scene->finish($scene->start('slow', list(1))), 'completed', 'what is due behind its items is done');
cmp_ok($scene->sql("SELECT count(*) FROM workflow.visits WHERE instance = $locked AND item IS NOT NULL"), '>', 40, 'while they wait');
$holder->run('COMMIT');
is($scene->finish($locked), 'completed', 'and they go on when it is free');

# ---- room for tokens ----

$node->append_conf('postgresql.conf', 'workflow.max_tokens = 3');
$node->reload;
wait_until(sub { $scene->sql('SHOW workflow.max_tokens') == 3 }, 'the setting is known');
sleep 0.2;
$instance = $scene->start('large', list(5));
is(states($instance), '0 waiting, 1 waiting, 2 waiting', 'so many as there is room for');
$scene->sql("SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = $instance AND item = 1");
is(states($instance), '0 waiting, 2 waiting, 3 waiting', 'the next one waits for one to end');
$scene->sql("SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = $instance") for 1 .. 2;
is($scene->finish($instance), 'completed', 'all had their turn');

done_testing();
