#
# Requests on behalf of a call: its header goes with those that it has made due, by whatever way, and with no others; also after a crash.
# It is seen nowhere else, and is in no dump.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use PostgreSQL::Test::Utils;
use Scene;
use Session;
use Test::More;
use WorkflowTest;

$ENV{MALLOC_PERTURB_} = 165;
my $scene = Scene->new('on_behalf', conf => "log_statement = none\nlog_min_messages = debug5\nlog_min_error_statement = panic\n");
my $H = '"headers": {' . Scene::HEADERS . '}';
my $json = JSON::PP->new->canonical->allow_nonref;

# what statistics of statements show, where they are installed
my $statistics = $scene->sql("SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_stat_statements'");
if ($statistics)
{
	$scene->node->append_conf('postgresql.conf', "shared_preload_libraries = 'workflow, pg_stat_statements'\npg_stat_statements.track = all\n");
	$scene->node->restart;
	$scene->sql('CREATE EXTENSION pg_stat_statements');
}
# A step that calls the partner
sub call
{
	my ($step, $path, $more) = @_;
	return qq({"step": "$step", "http": {"server": "partner", "path": "$path", $H}) . ($more ? ", $more" : '') . '}';
}

sub define_steps { my ($name, @steps) = @_; return $scene->define($name, '{"steps": [' . join(', ', @steps) . ']}') }

# Run SQL as a call of somebody, and return the last line that it gives
sub behalf
{
	my ($who, $sql, $setting) = @_;
	my $headers = defined $who && ref $who ? $json->encode($who) : $json->encode({ Authorization => "Bearer secret-$who" });
	return (split /\n/, $scene->sql("SELECT set_config('" . ($setting // 'workflow.on_behalf') . "', '$headers', false);\n$sql"))[-1];
}

sub start { my ($who, $name, $data) = @_; return behalf($who, "SELECT workflow.start('$name', '" . $json->encode($data // {}) . "')") }

# Whose header which steps have sent, of an instance and of what it has called
sub senders
{
	my ($instance) = @_;
	my @called = split /\n/, $scene->sql("SELECT instance FROM workflow.instances WHERE parent = $instance");
	return join ' ', sort map { "$_->{headers}{'x-step'}:" . (($_->{headers}{authorization} // '-') =~ s/^Bearer secret-//r) } map { $scene->requests($_) } $instance, @called;
}

sub ends_with
{
	my ($instance, $status, $senders, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($scene->finish($instance), $status, "$name: $status") or diag($scene->path($instance));
	is(senders($instance), $senders, $name);
}

sub none_kept
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($scene->sql('SELECT count(*) FROM workflow_data.on_behalf'), 0, $name);
}

my $NONE = qr/^there is no header "Authorization" to be passed on to server "partner"/;
sub stands_without
{
	my ($instance, $step, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($scene->finish($instance), 'failed', "$name: it stands") or return;
	my $incident = $scene->incident($instance);
	is("$incident->{step} $incident->{error}{code}", "$step request", "$name: there is none") or diag(explain($incident));
	like($incident->{error}{message}, $NONE, "$name: and that is said");
}

# ---- the call that starts ----

define_steps('call', call('call', '/ok'));
ends_with(start('ada', 'call'), 'completed', 'call:-', 'without a mapping');
is($scene->sql("SELECT count(*) FROM pg_stat_statements WHERE query ~ 'workflow_data.on_behalf'"), 0, 'nobody asks for what is kept') if $statistics;
$scene->sql("CREATE USER MAPPING FOR CURRENT_USER SERVER partner OPTIONS (auth 'on_behalf', name 'Authorization')");
ends_with(start('ada', 'call'), 'completed', 'call:ada', 'the header of a start');
none_kept('which is not kept after that');
ends_with(behalf({ authorization => 'Bearer secret-web', accept => '*/*', 'x-other' => 'secret-other' }, "SELECT workflow.start('call')", 'request.headers'),
	'completed', 'call:web', 'that of PostgREST');
my $instance = behalf({ authorization => 'Bearer secret-web' }, "SELECT set_config('workflow.on_behalf', '{\"AUTHORIZATION\": \"Bearer secret-own\"}', true)\\g /dev/null\nSELECT workflow.start('call')", 'request.headers');
stands_without($instance, 'call', 'a setting that was over before the call') if $scene->finish($instance) ne 'completed';
is(senders($instance), 'call:web', 'a setting of a transaction that is over does not count');
$instance = behalf({ authorization => 'Bearer secret-web' }, "BEGIN; SELECT set_config('workflow.on_behalf', '{\"AUTHORIZATION\": \"Bearer secret-own\"}', true)\\g /dev/null\nSELECT workflow.start('call'); COMMIT", 'request.headers');
ends_with($instance, 'completed', 'call:own', 'the own setting wins');
$instance = behalf({ authorization => 'Bearer secret-web' }, "SET workflow.on_behalf = '{}'; SELECT workflow.start('call')", 'request.headers');
stands_without($instance, 'call', 'also one without any');
is(scalar($scene->requests($instance)), 0, 'nothing is sent without it');
stands_without($scene->start('call'), 'call', 'a call without headers');
stands_without(start({ 'X-Other' => 'secret-other' }, 'call'), 'call', 'a call without that header');
$instance = $scene->start('call');
$scene->finish($instance);
my $serial = $scene->incident($instance)->{serial_number};
is($scene->sql("SELECT workflow.request('$serial')->>'method'"), 'GET', 'the request is shown all the same');
behalf('op', "SELECT workflow.retry('$serial')");
ends_with($instance, 'completed', 'call:op', 'an operator tries again with his own');

# carried out later
$instance = behalf({ authorization => 'Bearer secret-later', 'x-other' => 'secret-other' }, "SELECT workflow.start('call', mode => 'async')", 'request.headers');
is_soon($scene->node, 'postgres', "SELECT state FROM workflow.operations WHERE instance = $instance", 'done', 'a call that is carried out later');
ends_with($instance, 'completed', 'call:later', 'has its headers');
is($scene->sql('SELECT count(*) FROM workflow_data.operation_headers'), 0, 'which are not kept after that');
is(behalf('erased', "BEGIN; SELECT workflow.set_data($instance, '{}', mode => 'async'), workflow.erase($instance); COMMIT; SELECT count(*) FROM workflow_data.operation_headers"),
	0, 'nor once the instance is erased');

for ([ '{"Authorization": 7}', 'A value is no string.' ], [ '{"Authorization": "a', 'It is no JSON.' ], [ '["secret-array"]', 'It is no JSON object.' ],
	[ '{"Authorization": "secret\\r\\nX-More: x"}', 'characters that an HTTP header cannot carry' ], [ '{"Authorization": "secret\\u0000"}', 'It is no JSON.' ],
	[ '{"x": "' . 's' x 8193 . '"}', 'more than 8 kB' ])
{
	my ($text, $why) = @$_;
	my ($status, $stdout, $stderr) = $scene->node->psql('postgres', "SET workflow.on_behalf = '$text'; SELECT workflow.start('call')", extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	like($stderr, qr/ERROR:  22023: the setting "workflow.on_behalf" holds no headers\nDETAIL:  .*\Q$why\E/, "refused: $why");
	unlike($stderr, qr/secret/, 'which tells nothing of it');
	$instance = $scene->sql("SELECT set_config('request.headers', '$text', false)\\g /dev/null\nSELECT workflow.start('call')");
	stands_without($instance, 'call', 'in those of PostgREST it is none') unless $text =~ /sss/;
}
my $long = 'Bearer ' . 's' x 8185;
$instance = start({ Authorization => $long }, 'call');
$scene->finish($instance);
is(($scene->requests($instance))[0]{headers}{authorization}, $long, 'one of 8 kB');
$scene->define('own', qq({"steps": [{"step": "call", "http": {"server": "partner", "path": "/ok", "headers": {"Authorization": "Bearer secret-step", @{[Scene::HEADERS]}}}}]}));
ends_with(start('ada', 'own'), 'completed', 'call:step', 'what the step says itself stands');

# ---- what follows from it ----

define_steps('child', '{"step": "look", "sql": "SELECT 1 AS a"}', call('inside', '/ok'));
define_steps('chain',
	'{"step": "one", "sql": "SELECT 1 AS a"}', '{"step": "set", "set": {"a": 1}}', '{"step": "two", "async": true, "set": {"b": 2}, "next": ["left", "right", "below"]}',
	'{"step": "left", "sql": "SELECT 2 AS a", "choose": [{"when": "$.a == 1", "next": "call left"}, {"next": "right"}]}', call('call left', '/ok', '"end": true'),
	call('right', '/ok', '"end": true'), '{"step": "below", "call": {"process": "child"}, "end": true}');
ends_with(start('ada', 'chain'), 'completed', 'call left:ada inside:ada right:ada', 'through statements, forks, executors and what is called');
none_kept('none is kept then');
define_steps('after a reply', call('first', '/ok'), call('second', '/ok'));
$instance = start('ada', 'after a reply');
stands_without($instance, 'second', 'after a reply');
is(senders($instance), 'first:ada', 'which the call does not go beyond');
define_steps('after a child', '{"step": "below", "call": {"process": "child"}}', call('second', '/ok'));
stands_without(start('ada', 'after a child'), 'second', 'after what was called has ended');
define_steps('after a clock', '{"step": "pause", "wait": {"after": "50 ms"}}', call('second', '/ok'));
stands_without(start('ada', 'after a clock'), 'second', 'after a clock');
define_steps('handled', call('first', '/ok', '"catch": [{"on": "request", "next": "other"}], "end": true'), '{"step": "other", "set": {"handled": true}}');
$instance = $scene->start('handled');
is($scene->finish($instance), 'completed', 'a handler takes it');
define_steps('again', call('call', '/status/503', '"retry": {"max": 2, "delay": "10 ms"}, "catch": [{"on": "503", "next": "end"}]'), '{"step": "end", "end": true}');
ends_with(start('ada', 'again'), 'completed', 'call:ada call:ada call:ada', 'each attempt has it');
define_steps('statement', '{"step": "s", "sql": "SELECT 1/(visit.attempt - 2) AS a", "retry": {"max": 2}, "catch": [{"on": "*", "next": "call"}]}', call('call', '/ok'));
ends_with(start('ada', 'statement'), 'completed', 'call:ada', 'a statement that is tried again, and one that has failed');
$scene->define('items', qq({"steps": [{"step": "call", "each": {"in": "\$.list", "parallel": 1}, "http": {"server": "partner", "path": "/ok", $H}}, {"step": "end", "end": true}]}));
ends_with(start('ada', 'items', { list => [ 1 .. 4 ] }), 'completed', 'call:ada call:ada call:ada call:ada', 'items that wait for their turn');
none_kept('none is kept of all these');

# ---- another call ----

define_steps('wait', call('first', '/ok', '"wait": true'), call('second', '/ok'));
$instance = start('ada', 'wait');
$serial = $scene->wait_for_state($instance, 'waiting')->{serial_number};
none_kept('what waits needs none');
behalf('bob', "SELECT workflow.complete('$serial')");
ends_with($instance, 'completed', 'first:ada second:bob', 'a callback has its own');
$instance = start('ada', 'wait');
$serial = $scene->wait_for_state($instance, 'waiting')->{serial_number};
$scene->sql("SELECT workflow.complete('$serial')");
stands_without($instance, 'second', 'or none');

define_steps('early', call('first', '/held', '"wait": true'), '{"step": "between", "sql": "SELECT 1 AS a"}', call('second', '/ok'));
$instance = start('ada', 'early');
$scene->wait_for_requests(1, $instance);
$serial = $scene->serial($instance);
behalf('bob', "SELECT workflow.complete('$serial')");
$scene->let_go($instance);
ends_with($instance, 'completed', 'first:ada second:bob', 'one that comes before the reply');

$instance = start('ada', 'wait');
$serial = $scene->wait_for_state($instance, 'waiting')->{serial_number};
behalf('op', "SELECT workflow.suspend($instance)");
behalf('bob', "SELECT workflow.complete('$serial')");
behalf('op', "SELECT workflow.resume($instance)");
ends_with($instance, 'completed', 'first:ada second:bob', 'or while the instance is suspended');

define_steps('message', call('first', '/held', '"wait": {"message": "m", "key": "${$.key}"}'), call('second', '/ok'));
for my $early (1, 0)
{
	$instance = start('ada', 'message', { key => "k$early" });
	$scene->wait_for_requests(1, $instance);
	$scene->let_go($instance) unless $early;
	$scene->wait_for_state($instance, 'waiting') unless $early;
	behalf('bob', "SELECT workflow.send_message('m', 'k$early')");
	$scene->let_go($instance) if $early;
	stands_without($instance, 'second', 'a message has none' . ($early ? ', before the reply' : ''));
	is(senders($instance), 'first:ada', 'and the action that of its own call');
}

my $cancel = '"wait": true, "timeout": "300 ms", "cancel": {"path": "/ok?cancel=1", "timeout": "1 ms", "headers": {"X-Instance": "${$instance}", "X-Step": "cancel"}}';
define_steps('statement in between', '{"step": "wait", "wait": true}', '{"step": "look", "sql": "SELECT 1 AS a"}', call('second', '/ok'));
define_steps('cancel', call('first', '/ok', $cancel =~ s/300 ms/1 h/r));
$instance = start('ada', 'cancel');
$scene->wait_for_state($instance, 'waiting');
behalf('bob', "SELECT workflow.cancel($instance)");
ends_with($instance, 'aborted', 'cancel:bob first:ada', 'a cancel request has that of the call that has cancelled');
define_steps('cancel in flight', call('first', '/held', $cancel =~ s/300 ms/1 h/r));
$instance = start('ada', 'cancel in flight');
$scene->wait_for_requests(1, $instance);
behalf('bob', "SELECT workflow.cancel($instance)");
$scene->let_go($instance);
ends_with($instance, 'aborted', 'cancel:bob first:ada', 'also if that had to wait for a reply');
define_steps('timed out', call('first', '/ok', "$cancel, \"catch\": [{\"on\": \"TIMED_OUT\", \"next\": \"end\"}]"), '{"step": "end", "end": true}');
ends_with(start('ada', 'timed out'), 'completed', 'first:ada', 'after a timeout there is none');
is($scene->sql("SELECT result->'cancel_response'->'error'->>'code' FROM workflow.history WHERE process = 'timed out' AND step = 'first'"), 'request', 'which is on record');

$scene->sql("SELECT workflow.suspend_process('chain')");
$instance = start('ada', 'chain');
$scene->node->restart;
behalf('bob', "SELECT workflow.resume_process('chain')");
ends_with($instance, 'completed', 'call left:ada inside:ada right:ada', 'what was started suspended keeps that of its start');

$scene->sql(q[CREATE TABLE orders (id int PRIMARY KEY)]);
define_steps('order', call('call', '/ok'));
$scene->sql(q[SELECT workflow.attach('orders', 'order')]);
behalf('row', 'INSERT INTO orders VALUES (1)');
ends_with($scene->sql("SELECT instance FROM workflow.instances WHERE process = 'order'"), 'completed', 'call:row', 'a row');

$scene->define('hooked', '{"start_on": [{"webhook": "hook"}, {"message": "begin"}], "steps": [' . call('call', '/ok') . ']}');
my $token = $scene->sql("SELECT workflow.webhook_token('hooked', 'hook')");
ends_with(behalf('web', "SELECT workflow.webhook('$token', '{}', '{}')"), 'completed', 'call:web', 'a webhook');
behalf('bob', "SELECT workflow.send_message('begin')");
stands_without($scene->sql("SELECT max(instance) FROM workflow.instances WHERE process = 'hooked'"), 'call', 'a message that starts an instance has none');
define_steps('condition', '{"step": "wait", "wait": {"condition": "$.ok == true"}}', call('second', '/ok'));
$instance = start('ada', 'condition');
behalf('bob', "SELECT workflow.set_data($instance, '{\"ok\": true}')");
ends_with($instance, 'completed', 'second:bob', 'a condition that new data let hold');
for my $mend ("skip('SERIAL')", "move('SERIAL', 'second')")
{
	$instance = $scene->start('after a reply');
	stands_without($instance, 'first', 'without');
	$serial = $scene->incident($instance)->{serial_number};
	behalf('op', "SELECT workflow.$mend" =~ s/SERIAL/$serial/r);
	ends_with($instance, 'completed', 'second:op', "an operator: $mend");
}
$instance = start('ada', 'statement in between');
behalf('bob', "SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = $instance");
ends_with($instance, 'completed', 'second:bob', 'statements after a callback');

# ---- whose mappings ----

$scene->sql(q[CREATE ROLE author LOGIN; CREATE ROLE guest LOGIN; GRANT USAGE ON SCHEMA workflow TO author, guest; GRANT EXECUTE ON FUNCTION workflow.define, workflow.grant_process TO author;
	GRANT USAGE ON FOREIGN SERVER partner TO author]);
my $others = '{"steps": [{"step": "look", "sql": "SELECT 1 AS a"}, ' . call('inside', '/ok') . ']}';
$scene->sql("SET ROLE author; SELECT workflow.define('others', '$others'); SELECT workflow.grant_process('others', '" . $scene->sql('SELECT session_user') . "', 'start')");
ends_with(start('ada', 'others'), 'completed', 'inside:-', 'who has not mapped it gets none');
none_kept('and for him none is kept');
$scene->sql("CREATE USER MAPPING FOR author SERVER partner OPTIONS (auth 'on_behalf', name 'X-Key')");
$instance = start({ Authorization => 'Bearer secret-ada', 'x-key' => 'secret-key' }, 'others');
is($scene->finish($instance), 'completed', 'another mapping');
is(join(' ', map { $_ // '-' } @{ ($scene->requests($instance))[0]{headers} }{qw(authorization x-key)}), '- secret-key', 'wants another header');
define_steps('calls others', '{"step": "below", "call": {"process": "others"}}');
$instance = start({ Authorization => 'Bearer secret-ada', 'x-key' => 'secret-key' }, 'calls others');
is_soon($scene->node, 'postgres', "SELECT substring(error->>'message' FROM '^there is no header \"X-Key\"') FROM workflow.incidents WHERE process = 'others'",
	'there is no header "X-Key"', 'a process of another owner that was called gets none that the owner of its caller does not want');
$scene->sql("ALTER USER MAPPING FOR author SERVER partner OPTIONS (SET name 'Authorization')");
$instance = start('ada', 'calls others');
is($scene->finish($instance), 'completed', 'one that both want');
is(senders($instance), 'inside:ada', 'is passed on');
for my $query ('SELECT * FROM workflow_data.on_behalf', 'SELECT request FROM workflow_data.on_behalf', 'DELETE FROM workflow_data.on_behalf')
{
	like($scene->error("GRANT USAGE ON SCHEMA workflow_data TO guest; SET ROLE guest; $query"), qr/^42501/, "nobody may $query");
}
$scene->sql('REVOKE USAGE ON SCHEMA workflow_data FROM guest');

# ---- a crash, and a dump ----

$scene->sql("ALTER SERVER partner OPTIONS (ADD max_in_flight '0')");
my @due = (start('ada', 'call'), start('ada', 'again'));
my $statement = start('bob', 'chain', { a => 1 });
$scene->wait_for_state($due[0], 'calling');
wait_until(sub { $scene->sql("SELECT count(*) FROM workflow.visits WHERE instance = $statement AND step IN ('right', 'call left')") == 2 }, 'what is due stands');
cmp_ok($scene->sql('SELECT count(*) FROM workflow_data.on_behalf'), '>=', 4, 'and its headers are kept');
is($scene->sql("SELECT count(*) FROM workflow_data.on_behalf o WHERE request ? 'authorization' AND onwards IS NULL AND (SELECT count(*) FROM jsonb_object_keys(request)) = 1"),
	$scene->sql('SELECT count(*) FROM workflow_data.on_behalf'), 'those that their requests want');
my @relations = split /\n/, $scene->sql(q[SELECT c.oid::regclass FROM pg_class c WHERE relnamespace IN ('workflow'::regnamespace, 'workflow_data'::regnamespace) AND relkind IN ('r', 'p', 'v', 'm') ORDER BY 1]);
my @found = grep { $scene->sql("SELECT t::text FROM $_ t") =~ /secret-(ada|bob)/ } @relations;
is("@found", 'workflow_data.on_behalf', 'in one table alone');
is($scene->sql("SELECT count(*) FROM pg_stat_activity a WHERE a::text ~ 'secret-' AND pid <> pg_backend_pid()"), 0, 'not in what the server shows of its processes');
is($scene->sql("SELECT coalesce(string_agg(query, ' '), '') FROM pg_stat_statements WHERE query ~ 'secret-(ada|bob|web|op)'"), '', 'nor of statements') if $statistics;

my $holder = Session->new($scene->node, 'postgres');
$scene->define('rest', '{"steps": [{"step": "wait", "wait": true}]}');
my $held = $scene->start('rest');
$holder->run("BEGIN; SELECT workflow.set_data($held, '{}')");
behalf('ada', "SELECT workflow.set_data($held, '{}', mode => 'async')");
is($scene->sql('SELECT count(*) FROM workflow_data.operation_headers'), 1, 'headers are kept while a call is pending');
my $dump = $scene->node->basedir . '/dump';
$scene->node->command_ok([ 'pg_dump', '--no-sync', '-f', $dump, $scene->node->connstr('postgres') ], 'dumped');
unlike(slurp_file($dump), qr/secret-(ada|bob)/, 'a dump has none');
$scene->node->command_ok([ 'pg_dumpall', '--no-sync', '-f', "$dump.all", '-d', $scene->node->connstr('postgres') ], 'dumped with all');
unlike(slurp_file("$dump.all"), qr/secret-(ada|bob)/, 'nor has that');
$holder->run('ROLLBACK');

crash($scene->node);
start_again($scene->node);
$scene->sql("ALTER SERVER partner OPTIONS (SET max_in_flight '10')");
ends_with($due[0], 'completed', 'call:ada', 'after a crash it is there');
ends_with($due[1], 'completed', 'call:ada call:ada call:ada', 'for each attempt');
ends_with($statement, 'completed', 'call left:bob inside:bob right:bob', 'and for what follows');
none_kept('none is kept in the end');

$scene->sql('CREATE DATABASE restored');
$scene->node->command_ok([ 'psql', '-qX', '-v', 'ON_ERROR_STOP=1', '-d', $scene->node->connstr('restored'), '-f', $dump ], 'restored');
$scene->node->safe_psql('restored', "ALTER SERVER partner OPTIONS (SET max_in_flight '10'); SELECT workflow.adopt()");
is_soon($scene->node, 'restored', "SELECT error->>'code' FROM workflow.incidents WHERE instance = $due[0]", 'request', 'in a copy there is none, which is an error of the request');
is($scene->node->safe_psql('restored', 'SELECT count(*) FROM workflow.verify()'), 0, 'and nothing else');

# ---- nowhere else ----

@found = grep { $scene->sql("SELECT t::text FROM $_ t") =~ /secret-(ada|bob|web|own|op|key|row|array)/ } @relations;
is("@found", '', 'no secret is in any table or view');
is(join('', grep { /secret-(ada|bob|web|own|op|key|row|array)/ } split /\n/, slurp_file($scene->node->logfile)), '', 'nor in the log');

$scene->node->stop;
done_testing();
