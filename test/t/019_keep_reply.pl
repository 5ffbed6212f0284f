#
# "keep_reply": false: what a service has answered is at hand in its visit, and nowhere after that; whatever becomes of the visit.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use PostgreSQL::Test::Utils;
use Scene;
use Test::More;
use WorkflowTest;

my $scene = Scene->new('keeping');
my $node = $scene->node;
my $H = '"headers": {' . Scene::HEADERS . '}';

# The partner is asked for an answer that has this in its body and a header, in a way in which it does not stand in the request.
my $NEEDLE = 'kn1fe-1n-the-hay';
sub hidden { return join('', map { sprintf('%%%02x', ord) } split //, $_[0]) }
my $HEADER = 'header=' . hidden("X-Secret:$NEEDLE");
sub answers { my ($status, $more) = @_; return $scene->url("/say?status=$status&$HEADER&body=" . hidden(qq({"id": 7, "secret": "$NEEDLE"})) . ($more // '')) }

my @relations = split /\n/, $scene->sql(q[SELECT c.oid::regclass FROM pg_class c WHERE relnamespace IN ('workflow'::regnamespace, 'workflow_data'::regnamespace)
	AND relkind IN ('r', 'p', 'v') AND NOT relispartition ORDER BY 1]);

# Which tables and views have it, by whose name or text?
sub kept
{
	my $pattern = $_[0] // $NEEDLE;
	my %in = map { $_ => 1 } split /\n/, $scene->sql(join(' UNION ALL ', map { "SELECT '$_' WHERE EXISTS (SELECT FROM $_ t WHERE t::text ~ '$pattern')" } @relations));
	return join(' ', sort keys %in);
}

sub is_kept { my ($where, $name, $pattern) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; is(kept($pattern), $where, $name) }

my $count = 0;
# An instance of a step that asks $.url, and of other steps behind it.
sub begin
{
	my ($step, $data, @others) = @_;
	my $name = 'keep ' . ++$count;
	$scene->define($name, '{"steps": [' . join(', ', qq({"step": "ask", "http": {"url": "\${\$.url}", $H}, "keep_reply": false, $step}), @others) . ']}');
	return $scene->start($name, $data);
}

sub result { my ($instance) = @_; return $scene->history($instance, 'ask')->{result} }
my %NOTHING = map { $_ => undef } qw(initial_response callback_response response cancel_response error);
my $AFTER = '{"step": "after", "set": {"caught": "${$caught}", "error": "${$error}"}, "next": "stand"}, {"step": "stand", "wait": true}';
my $WAIT = '"wait": {"callback": true, "when": "$reply.status == 202"}';

# ---- success ----

my $all = '"save_reply": {"first": "${$reply.body.id}"}, "success": "$result.initial_response.id == 7", "save": {"body": "${$reply.body.id}", "initial": "${$result.initial_response.id}", "response": "${$result.response.id}"},
	"choose": [{"when": "$result.response.id == 7 && $reply.status == 200", "next": "right"}, {"next": "wrong"}]';
my @ways = ('{"step": "right", "end": true}', '{"step": "wrong", "end": true}');
my $instance = begin($all, { url => answers(200) }, @ways);
is($scene->finish($instance), 'completed', 'a reply that is not kept');
# a new server makes partitions when something has ended
is_soon($node, 'postgres', 'SELECT (SELECT count(*) FROM workflow_data.visit_stray) + (SELECT count(*) FROM workflow_data.instance_stray)', 0, 'what has ended is in partitions');
is($scene->path($instance), 'ask:SUCCESS right:SUCCESS', 'is at hand in "success" and "choose"');
is_deeply([ @{ $scene->data($instance) }{qw(first body initial response)} ], [ 7, 7, 7, 7 ], 'and in "save_reply" and "save"');
is_deeply(result($instance), { %NOTHING, status => 'SUCCESS' }, 'the history has the outcome alone');
is_kept('', 'and it is nowhere');
$scene->define('kept', qq({"steps": [{"step": "ask", "http": {"url": "\${\$.url}", $H}, "keep_reply": true}, {"step": "stand", "wait": true}]}));
my $control = $scene->start('kept', { url => answers(200) });
$scene->wait_for_state($control, 'waiting');
is_kept('workflow.history workflow_data.visit_history', 'one that is kept is in the history');
$scene->sql("SELECT workflow.cancel($control)");
$scene->finish($control);
$scene->sql("SELECT workflow.erase($control)");
is_kept('', 'of which nothing is left for what follows');

# what it saves as a whole is data
$instance = begin('"save": true', { url => answers(200) });
$scene->finish($instance);
is($scene->data($instance)->{secret}, $NEEDLE, 'what is saved is in the data');
is_kept('workflow.instances workflow_data.instance_history', 'and nowhere else');
$scene->sql("SELECT workflow.erase($instance)");

# ---- a wait ----

$instance = begin(qq("save_reply": {"id": "\${\$reply.body.id}"}, $WAIT, "save": {"said": "\${\$event.data.ok}"}), { url => answers(202) });
my $sn = $scene->wait_for_state($instance, 'waiting')->{serial_number};
is_kept('', 'a reply that nobody can ask for is gone when the wait begins');
is($scene->sql("SELECT reply FROM workflow_data.visit WHERE instance = $instance"), '{"status": 202}', 'but for its status');
$scene->sql(qq(SELECT workflow.complete('$sn', '{"ok": 1}')));
is($scene->finish($instance), 'completed', 'a callback ends the wait');
is_deeply($scene->data($instance), { url => answers(202), id => 7, said => 1 }, 'with what was saved before');
is_deeply(result($instance), { %NOTHING, status => 'SUCCESS', (map { $_ => { ok => 1 } } qw(callback_response response)) }, 'what a callback brings is kept');

# the same, asked for later; through a crash
my $later = begin(qq($WAIT, "success": "\$reply.body.id == 7", "save": {"id": "\${\$result.initial_response.id}"}), { url => answers(202) });
$sn = $scene->wait_for_state($later, 'waiting')->{serial_number};
is_kept('workflow_data.visit', 'one that is asked for later waits with its visit');
crash($node);
start_again($node);
is_kept('workflow_data.visit', 'through a crash');
$scene->sql(qq(SELECT workflow.complete('$sn', '{"ok": 1}')));
is($scene->finish($later), 'completed', 'then it is at hand');
is($scene->data($later)->{id}, 7, 'for "save", too');
is_kept('', 'and then it is gone');

# without a wait after all
$instance = begin(qq($WAIT, "save": {"id": "\${\$result.response.id}"}), { url => answers(200) });
is($scene->finish($instance), 'completed', 'a wait that is left out');
is($scene->data($instance)->{id}, 7, 'has the reply as its response');
is_kept('', 'which is not kept');

# ---- a callback that comes before the reply ----

$instance = begin('"wait": true, "save": {"id": "${$reply.body.id}", "receipt": "${$result.response.receipt}"}', { url => $scene->url("/callback-first") });
$scene->define('early', qq({"steps": [{"step": "ask", "http": {"server": "partner", "path": "/callback-first", "body": {"sn": "\${\$serial_number}"}, $H}, "keep_reply": false, "wait": true,
	"save": {"id": "\${\$reply.body.id}", "receipt": "\${\$result.response.receipt}"}}]}));
$scene->sql("SELECT workflow.cancel($instance)");
($instance) = $scene->run('early');
like($scene->data($instance)->{id}, qr/^c-\d+$/, 'the reply that comes after the callback is at hand');
my $result = result($instance);
is($result->{initial_response}, undef, 'and not kept');
like($result->{response}{receipt}, qr/^r-/, 'unlike what the callback has brought');

# ---- what fails ----

$instance = begin('"retry": {"max": 1}', { url => answers(503) });
is($scene->finish($instance), 'failed', 'a service that fails');
is_kept('', 'an incident shows nothing of its answer');
is($scene->sql("SELECT string_agg(concat_ws(' ', http_status, error->>'code', ended_at >= started_at), ', ') FROM workflow.attempts WHERE serial_number LIKE '$instance\_%'"), '503 503 t, 503 503 t', 'its attempts have status and duration');
is($scene->sql("SELECT workflow.skip(serial_number) FROM workflow.incidents WHERE instance = $instance"), 't', 'it is skipped');
is($scene->finish($instance), 'completed', 'and goes on');

$instance = begin('"save": {"id": "${$reply.body.id}", "missing": "${$.missing}"}', { url => answers(200) });
is($scene->finish($instance), 'failed', 'a step that fails with a good answer');
is_kept('workflow_data.visit', 'has it at hand as long as its incident stands');
$scene->sql("SELECT workflow.set_data($instance, '{\"missing\": 1}'), workflow.skip(serial_number) FROM workflow.incidents WHERE instance = $instance");
is($scene->finish($instance), 'completed', 'so it can be skipped');
is($scene->data($instance)->{id}, 7, 'with what the service has said');
is_kept('', 'and then it is gone');

for my $bad ([ '404', answers(404), '"catch": [{"on": "404", "next": "after"}]' ], [ 'FAILED', answers(200), '"success": "$result.response.id == 8", "catch": [{"on": "FAILED", "next": "after"}]' ],
	[ 'no JSON', answers(200, hidden(' and more')), '"catch": [{"on": "reply", "next": "after"}]' ],
	[ 'a template', answers(200), '"save": {"x": "${$reply.body.id.y}"}, "catch": [{"on": "*", "next": "after"}]' ])
{
	my ($name, $url, $step) = @$bad;
	$instance = begin(qq($step, "end": true), { url => $url }, $AFTER);
	is_soon($node, 'postgres', "SELECT count(*) FROM workflow.visits WHERE instance = $instance AND step = 'stand' AND state = 'waiting'", 1, "$name: it is caught");
	my $caught = $scene->data($instance)->{caught};
	is_deeply([ @{ $caught->{result} }{qw(initial_response response)} ], [ undef, undef ], "$name: \$caught has no reply");
	isnt($caught->{error}{code}, undef, "$name: but the error");
	is_kept('', "$name: neither have the rows of those who caught it");
}

# ---- interrupted ----

$instance = begin(qq($WAIT, "catch": [{"after": "1 ms", "interrupt": false, "next": "beside"}, {"message": "stop", "save": {"id": "\${\$reply.body.id}", "initial": "\${\$result.initial_response.id}"}, "next": "after"}], "end": true),
	{ url => answers(202) }, '{"step": "beside", "wait": true, "save": {"beside": "${$caught}"}, "end": true}', $AFTER);
my $waiting = "SELECT string_agg(step, ' ' ORDER BY step) FROM workflow.waiting WHERE instance = $instance";
is_soon($node, 'postgres', $waiting, 'ask beside', 'a handler begins beside');
$scene->sql("SELECT workflow.send_message('stop')");
is_soon($node, 'postgres', $waiting, 'beside stand', 'and one that interrupts');
is_deeply([ @{ $scene->data($instance) }{qw(id initial)} ], [ 7, 7 ], 'the reply is at hand in the "save" of one that interrupts');
is($scene->data($instance)->{caught}{result}{initial_response}, undef, 'but not in $caught');
is_kept('', 'and then it is gone');

my $stop = '/say/${$reply.body.id}?status=%d&' . "$HEADER&body=" . hidden(qq({"stopped": "$NEEDLE"}));
for my $status (200, 500)
{
	$scene->define('stop', qq({"steps": [{"step": "ask", "http": {"server": "partner", "url": "\${\$.url}", $H}, "keep_reply": false, $WAIT,
		"cancel": {"path": ") . sprintf($stop =~ s/%(?!d)/%%/gr, $status) . qq(", $H, "timeout": "0"}}]}));
	$instance = $scene->start('stop', { url => answers(202) });
	$scene->wait_for_state($instance, 'waiting');
	is_kept('workflow_data.visit', 'a reply that the cancel request needs');
	$scene->sql("SELECT workflow.cancel($instance)");
	is($scene->finish($instance), 'aborted', 'cancelled');
	is(($scene->requests($instance))[1]{path}, '/say/7', 'the service is asked to stop with what it had said');
	my $answer = result($instance)->{cancel_response};
	is_deeply([ ref $answer ? sort keys %$answer : $answer ], [ $status == 200 ? undef : 'error' ], "of an answer of $status to that nothing is kept but the error");
	is_kept('', 'nor of the first one');
}

# ---- an instance that is locked when the reply comes; a crash then ----

my $DOTS = '[.]{30}';
my $slow = $scene->url('/slow-drip?bytes=30&every=0.05');
my @slow = map { begin('"save": {"n": "${$reply.status}"}', { url => $slow }) } 1 .. 2;
$scene->wait_for_requests(1, $_) for @slow;
$scene->sql("SELECT workflow.suspend($slow[1])");
my $client = $node->background_psql('postgres');
$client->query_safe("BEGIN; SELECT workflow.set_data($slow[0], '{\"held\": true}')");
is_soon($node, 'postgres', 'SELECT count(*) FROM workflow_data.delivery WHERE instance IN (' . join(', ', @slow) . ')', 2, 'replies that cannot be dealt with yet');
is_kept('workflow_data.delivery', 'wait', $DOTS);
$client->quit;
is($scene->finish($slow[0]), 'completed', 'until the lock is gone');
crash($node);
start_again($node);
is_kept('workflow_data.delivery', 'or longer, through a crash', $DOTS);
$scene->sql("SELECT workflow.resume($slow[1])");
is($scene->finish($slow[1]), 'completed', 'until the instance is resumed');
is_kept('', 'then they are gone', $DOTS);
is($scene->data($_)->{n}, 200, 'and were at hand') for @slow;

# ---- other actions ----

$scene->define('items', qq({"steps": [{"step": "ask", "each": {"in": "\$.list[*]", "collect": "all"}, "http": {"url": "\${\$.url}", $H}, "keep_reply": false}, {"step": "stand", "wait": true}]}));
$instance = $scene->start('items', { url => answers(200), list => [ 1, 2 ] });
is_soon($node, 'postgres', "SELECT jsonb_array_length(data->'all') FROM workflow.instances WHERE instance = $instance", 2, 'items');
is($scene->data($instance)->{all}[1]{secret}, $NEEDLE, 'what is collected is in the data');
is_kept('workflow.instances workflow_data.instance', 'and nowhere else');
$scene->sql("SELECT workflow.set_data($instance, '{\"all\": null}')");

$scene->define('child', q({"steps": [{"step": "say", "sql": "SELECT repeat('zx', 50) AS t", "keep_reply": false, "save": {"word": "${$reply.row.t}"}}]}));
$scene->define('query', qq({"steps": [{"step": "ask", "sql": "SELECT repeat('qz', 50) AS t", "keep_reply": false, "save": {"n": "\${\$reply.count}", "t": "\${\$reply.row.t starts with \\"qz\\"}"}},
	{"step": "child", "call": {"process": "child"}, "keep_reply": false, "save": {"child": "\${\$reply.word starts with \\"zx\\"}"}}, {"step": "stand", "wait": true}]}));
$instance = $scene->start('query');
is_soon($node, 'postgres', "SELECT data FROM workflow.instances WHERE instance = $instance", '{"n": 1, "t": true, "child": true}', 'of SQL and of a call, too');
is_kept('', 'what a statement has answered is gone', '(qz){50}');
is_kept('workflow.instances workflow_data.instance_history', 'what a child has ended with is in the child alone', '(zx){50}');

# ---- other versions ----

$scene->define('versions', qq({"steps": [{"step": "ask", "http": {"url": "\${\$.url}", $H}, "wait": {"callback": true}}]}));
my @old = map { $scene->start('versions', { url => answers(202) }) } 1 .. 2;
$scene->wait_for_state($_, 'waiting') for @old;
$scene->sql("SELECT workflow.fail(serial_number, 'E1') FROM workflow.visits WHERE instance = $old[1]");
is_kept('workflow.incidents workflow_data.visit', 'under a version that keeps replies, one is in its visit');
is($scene->sql("SELECT count(*) FROM workflow_data.visit WHERE result::text ~ '$NEEDLE'"), 1, 'and in the result of an incident');
$scene->define('versions', qq({"steps": [{"step": "ask", "http": {"url": "\${\$.url}", $H}, "keep_reply": false, "wait": {"callback": true}}]}));
is($scene->sql('SELECT * FROM workflow.difference(\'versions\', 1, 2)'), '$.steps["ask"].keep_reply|added||false', 'another version does not');
is($scene->sql("SELECT count(*) FROM workflow.migrate('versions', 1, 2)"), 0, 'they go on under that');
is($scene->sql("SELECT count(*) FROM workflow_data.visit WHERE result::text ~ '$NEEDLE'"), 0, 'the result of an incident has it no more');
$scene->sql("SELECT workflow.complete(serial_number, '{}') FROM workflow.visits WHERE instance IN (" . join(', ', @old) . ')');
is($scene->finish($_), 'completed', 'they end') for @old;
is_kept('', 'nothing is kept of them');

# ---- a large one ----

my $huge = $scene->url('/huge?bytes=10000000');
my @huge = (begin('"save": {"size": "${$reply.headers.\"content-length\"}"}', { url => $huge }), begin('"save_reply": {"size": "${$reply.headers.\"content-length\"}"}, "wait": true', { url => $huge }));
is($scene->finish($huge[0]), 'completed', 'ten megabytes');
$sn = $scene->wait_for_state($huge[1], 'waiting')->{serial_number};
is_kept('', 'do not stay, not even during a wait', 'h{200}');
$scene->sql("SELECT workflow.complete('$sn')");
is($scene->finish($huge[1]), 'completed', 'nor after it');
is_kept('', 'in no table', 'h{200}');
is($scene->data($_)->{size}, 10000000, 'though they were there') for @huge;
# statements of this test are there, too
ok(!log_has($node, qr/\] workflow [^\n]*$NEEDLE/), 'no worker has told the log of it');

$node->stop;
done_testing();
