#
# The extension as it is open to the web, by docs/workflow_api.sql and what stands in for PostgREST: calls at once and later, what is answered,
# and what somebody finds out or brings about who has nothing but the role of everyone.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Frontend;
use IO::Socket::INET;
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Scene;
use Session;
use Test::More;
use WorkflowTest;

my $frontend = Frontend->new;
my $scene = Scene->new('web', conf => "workflow.callback_base = '" . $frontend->url . "'\nworkflow.executors = 2\nworkflow.max_data = '64kB'\n");
$scene->sql(slurp_file("$FindBin::Bin/../../docs/workflow_api.sql"));
$scene->sql('CREATE ROLE web_anon; CREATE ROLE clerk; CREATE ROLE stranger; GRANT USAGE ON SCHEMA workflow_api TO web_anon, clerk, stranger;
	GRANT USAGE ON SCHEMA workflow TO clerk');
$frontend->serve($scene->node, 'postgres');

$scene->define('registration', q[{"data": {"state": "new"}, "steps": [
	{"step": "greet", "set": {"greeting": "Dear ${$.name}"}, "next": ["confirm", "approve", "listen"]},
	{"step": "confirm", "wait": {"task": {"title": "Is this you, ${$.name}?", "roles": ["workflow_web"]}}, "save": {"confirmed": "${$result.response}"}, "end": true},
	{"step": "approve", "wait": {"task": {"title": "Approve", "roles": ["clerk"]}}, "catch": [{"on": "REJECTED", "next": "rejected"}], "end": true},
	{"step": "listen", "wait": {"message": "question"}, "save": {"question": "${$event.data}"}, "end": true},
	{"step": "rejected", "set": {"state": "rejected"}}]}]);
$scene->define($_, '{"steps": [{"step": "wait", "wait": true}]}') for 'secret', 'for everyone', 'of clerks';
$scene->sql(q[SELECT workflow.grant_process('registration', 'workflow_web', 'start'), workflow.grant_process('registration', 'workflow_web', 'view'),
	workflow.grant_process('registration', 'workflow_web', 'complete', 'listen'), workflow.grant_process('for everyone', 'public', 'start'),
	workflow.grant_process('of clerks', 'clerk', 'start'), workflow.grant_process('of clerks', 'clerk', 'view'), workflow.grant_process('of clerks', 'clerk', 'complete')]);
my %john = (lastName => 'doe', name => 'john');
my %async = ('X-ATK-Mode' => 'async');
my %clerk = (Authorization => 'Bearer ' . Frontend::jwt('clerk'));
my $token = qr/^[1-9][0-9]*\.[\w-]{43}$/;

sub is_status
{
	my ($answer, $status, $name) = @_;
	return is($answer->{status}, $status, $name) || diag($answer->{content});
}
sub start { return $frontend->rpc('start', { process => 'registration', data => \%john }, @_) }
sub state_of { return $frontend->look('instance', { token => $_[0] })->{json} }
sub soon
{
	my ($token, $status) = @_;
	for (1 .. 300)
	{
		return 1 if state_of($token)->{status} eq $status;
		select undef, undef, undef, 0.1;
	}
	return 0;
}

# ---- at once ----

my $started = start();
is_status($started, 201, 'started at once');
my $id = $started->{json}{id};
my $his = $started->{json}{token};
like($his, $token, 'with a token');
is_deeply($started->{json}, { %john, id => $id, token => $his, state => 'new', greeting => 'Dear john' }, 'and the data that it has by now');
is($started->{headers}{location}, "/rpc/instance?token=$his", 'and where to ask');
my $looked = HTTP::Tiny->new->get($frontend->base . $started->{headers}{location});
is($looked->{status}, 200, 'which can be asked');
my $there = JSON::PP->new->utf8->decode($looked->{content});
is_deeply([ @$there{qw(id status operations)}, $there->{data}{greeting} ], [ $id, 'active', [], 'Dear john' ], 'and says how it stands');
is_deeply([ map { "$_->{step}: $_->{title}" } @{ $there->{tasks} } ], ['confirm: Is this you, john?'], 'with the tasks that are for the web');
my $task = $there->{tasks}[0]{serial_number};
is_status($frontend->rpc('set_data', { token => $his, data => { name => 'jane' } }), 204, 'data are set');
is(state_of($his)->{data}{name}, 'jane', 'as seen at once');
my $asked = $frontend->rpc('send_message', { token => $his, name => 'question', data => 'why?' });
is_deeply([ @$asked{qw(status json)} ], [ 200, 'delivered' ], 'a message is delivered');
is_status($frontend->rpc('send_message', { token => $his, name => 'question' }), 409, 'nothing waits for the next one');
is_status($frontend->rpc('complete', { token => $his, serial_number => $task, data => { ok => \1 } }), 204, 'a task is done');
is_status($frontend->rpc('complete', { token => $his, serial_number => $task, data => { ok => \0 } }), 409, 'and done');
is($scene->sql("SELECT count(*) FROM workflow.late_callbacks WHERE serial_number = '$task'"), 1, 'what comes late is on record');
is_status($frontend->rpc('cancel', { token => $his, reason => 'no more' }), 204, 'cancelled');
is_status($frontend->rpc('cancel', { token => $his }), 409, 'once');
is_status($frontend->rpc('set_data', { token => $his, data => {} }), 409, 'its data stay');
is_deeply([ @{ state_of($his) }{qw(id status tasks)} ], [ $id, 'aborted', [] ], 'it is still known');
is_deeply(state_of($his)->{data}, { name => 'jane', lastName => 'doe', state => 'new', greeting => 'Dear john', question => 'why?', confirmed => { ok => JSON::PP::true } }, 'with its data');
is($scene->sql("SELECT DISTINCT completed_by FROM workflow.history WHERE instance = $id AND completed_by IS NOT NULL"), 'workflow_web', 'it was the role of the web');

# ---- later ----

for my $mode (qw(async ASYNC Async))
{
	my $answer = start({ 'X-ATK-Mode' => $mode });
	is_status($answer, 202, "started later: $mode");
	is_deeply($answer->{json}, { %john, id => $answer->{json}{id}, token => $answer->{json}{token} }, 'with what was sent');
	is($answer->{headers}{location}, "/rpc/instance?token=$answer->{json}{token}", 'and where to ask');
	ok(soon($answer->{json}{token}, 'active'), 'it is there a moment later');
}
is_status(start({ 'X-ATK-Mode' => $_ }), 400, "no mode: $_") for 'sync', 'asynchronous', 'async, async';
my %later = %{ start(\%async)->{json} };
is_status($frontend->rpc('set_data', { token => $later{token}, data => { name => 'joan' } }, \%async), 202, 'data are set later');
is_status($frontend->rpc('send_message', { token => $later{token}, name => 'question', data => 1 }, \%async), 202, 'a message is sent later');
ok(soon($later{token}, 'active'), 'started');
is_soon($scene->node, 'postgres', "SELECT data->>'name' || (data->>'question') FROM workflow.instances WHERE instance = $later{id}", 'joan1', 'in their order');
($task) = map { $_->{serial_number} } @{ state_of($later{token})->{tasks} };
is_status($frontend->rpc('fail', { token => $later{token}, serial_number => $task, code => 'REFUSED', message => 'I am not' }, \%async), 202, 'a task fails later');
ok(soon($later{token}, 'failed'), 'and has failed');
is_status($frontend->rpc('cancel', { token => $later{token} }, \%async), 202, 'cancelled later');
ok(soon($later{token}, 'aborted'), 'and aborted');

is_status($frontend->rpc($_->[0], { token => $later{token}, %{ $_->[1] } }, \%async), 202, "too late: $_->[0]")
  for [ set_data => { data => {} } ], [ cancel => {} ], [ send_message => { name => 'question' } ];
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.operations WHERE instance = $later{id} AND state = 'pending'", 0, 'carried out');
is_deeply([ map { [ @$_{qw(call state answer)} ] } @{ state_of($later{token})->{operations} } ],
	[ map { [ $_->[0], 'done', $_->[1] ] } [ set_data => 'false' ], [ cancel => 'false' ], [ send_message => 'missed' ] ], 'what has come to nothing is told to who asks');

# ---- one whose start has to wait, and fails ----

sub start_key { return $frontend->rpc('start', { process => 'registration', data => { name => 'x' }, business_key => $_[0] }, $_[1] // \%async) }
my $holder = Session->new($scene->node, 'postgres');
$holder->run('BEGIN', "SELECT workflow.start('registration', '{}', 'first')");
my $waits = start_key('first')->{json};
is_deeply(state_of($waits->{token}), { id => $waits->{id}, status => 'pending', tasks => [], operations => [ { operation => state_of($waits->{token})->{operations}[0]{operation}, call => 'start', state => 'pending' } ] },
	'it is pending');
my $early = $frontend->rpc('set_data', { token => $waits->{token}, data => { name => 'y' } });
is_status($early, 409, 'what is called at once is too early');
like($early->{json}{hint}, qr/X-ATK-Mode: async/, 'and told what helps');
is_status($frontend->rpc('set_data', { token => $waits->{token}, data => { name => 'y' } }, \%async), 202, 'that can be called later');
$holder->run('ROLLBACK');
ok(soon($waits->{token}, 'active'), 'it starts when the other one does not');
is_soon($scene->node, 'postgres', "SELECT data->>'name' FROM workflow.instances WHERE instance = $waits->{id}", 'y', 'and has what was called before');
$holder->run('BEGIN', "SELECT workflow.start('registration', '{}', 'second')");
$waits = start_key('second')->{json};
is(state_of($waits->{token})->{status}, 'pending', 'another one');
$holder->run('COMMIT');
ok(soon($waits->{token}, 'failed'), 'fails when the other one was first');
is(state_of($waits->{token})->{error}{sqlstate}, '23505', 'and says why');
is_status($frontend->rpc('set_data', { token => $waits->{token}, data => {} }, \%async), 404, 'there is nothing to be called any more');
my $taken = start_key('second');
is_status($taken, 409, 'a key that lives is refused when it is called');
like($taken->{json}{message}, qr/has a living instance with business key "second"/, 'with the message');
is($taken->{json}{code}, 'PT409', 'and the code');
is_status(start_key('second', {}), 409, 'as at once');

# ---- what would work if it were repeated ----

my $locked = start()->{json};
$scene->sql("ALTER DATABASE postgres SET lock_timeout = '100 ms'");
$holder->run('BEGIN', "SELECT workflow.set_data($locked->{id}, '{\"n\": 1}')");
is_status($frontend->rpc('set_data', { token => $locked->{token}, data => { n => 2 } }), 503, 'somebody holds the instance');
$holder->run('COMMIT');
is_status($frontend->rpc('set_data', { token => $locked->{token}, data => { n => 2 } }), 204, 'and then not');
$scene->sql('ALTER DATABASE postgres RESET lock_timeout; CREATE FUNCTION short() RETURNS trigger LANGUAGE plpgsql AS
	$$BEGIN RAISE EXCEPTION USING ERRCODE = NEW.data->>\'code\', MESSAGE = \'short\'; END$$;
	CREATE TRIGGER short BEFORE UPDATE ON workflow_data.instance FOR EACH ROW EXECUTE FUNCTION short()');
is_status($frontend->rpc('set_data', { token => $locked->{token}, data => { code => $_ } }), 503, "$_ may be repeated") for qw(40001 40P01 53100 53200 53300);
is_status($frontend->rpc('set_data', { token => $locked->{token}, data => { code => $_->[0] } }), $_->[1], "$_->[0]: $_->[1]") for [ '54001', 413 ], [ '22012', 400 ];
$scene->sql('DROP TRIGGER short ON workflow_data.instance; DROP FUNCTION short()');

# ---- told of it ----

my $partner = $scene->partner;
sub told { return [ map { [ @{ $_->{headers} }{qw(x-atk-status x-workflow-instance authorization)}, JSON::PP->new->decode($_->{body}) ] } $partner->requests($_[0]) ] }
sub asks { return { %async, 'X-ATK-Callback' => $scene->url($_[0]) } }
$scene->sql("CREATE SERVER clients FOREIGN DATA WRAPPER workflow_http OPTIONS (url '" . $scene->url('/echo/clients') . "', allow_private 'true', breaker 'off');
	CREATE SERVER down FOREIGN DATA WRAPPER workflow_http OPTIONS (url '" . $scene->url('/status/500') . "', allow_private 'true', breaker 'off', retry_max '0');
	CREATE SERVER others FOREIGN DATA WRAPPER workflow_http OPTIONS (url '" . $scene->url('/echo/others') . "', allow_private 'true');
	CREATE SERVER inside FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://127.0.0.1:" . $scene->node->port . "/inside');
	GRANT USAGE ON FOREIGN SERVER clients, down, inside TO workflow_web; GRANT USAGE ON FOREIGN SERVER others TO clerk;
	CREATE USER MAPPING FOR workflow_web SERVER clients OPTIONS (auth 'bearer', token 'of the web')");
my $to = start(asks('/echo/clients/1'));
is_status($to, 202, 'who gives a URL');
ok($partner->wait_for(1, '/echo/clients/1'), 'is told there');
is_deeply(told('/echo/clients/1'), [ [ 'Active', $to->{json}{id}, 'Bearer of the web', { %john, state => 'new', greeting => 'Dear john' } ] ], 'how it stands, once, with the credentials of the web');
($task) = map { $_->{serial_number} } @{ state_of($to->{json}{token})->{tasks} };
is_status($frontend->rpc($_->[0], { token => $to->{json}{token}, %{ $_->[1] } }, asks("/echo/clients/$_->[0]")), 202, "by $_->[0]")
  for [ set_data => { data => { name => 'jim' } } ], [ send_message => { name => 'question', data => 2 } ], [ complete => { serial_number => $task } ], [ cancel => {} ];
ok($partner->wait_for(1, "/echo/clients/$_"), "told of $_") for qw(set_data send_message complete cancel);
is(told('/echo/clients/cancel')->[0][0], 'Aborted', 'and how it has ended');
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.operations WHERE instance = $to->{json}{id} AND callback_state <> 'sent'", 0, 'all were sent');
is_deeply(state_of($to->{json}{token})->{operations}, [], 'nothing is left to be said of them');
my $untold = start(asks('/status/500'))->{json};
is_soon($scene->node, 'postgres', "SELECT callback_state FROM workflow.operations WHERE instance = $untold->{id}", 'failed', 'one that cannot be told');
is_deeply([ map { @$_{qw(call state callback)} } @{ state_of($untold->{token})->{operations} } ], [qw(start done failed)], 'finds that when he asks');
$holder->run('BEGIN', "SELECT workflow.start('registration', '{}', 'third')");
$waits = start_key('third', asks('/echo/clients/third'))->{json};
$holder->run('COMMIT');
ok(soon($waits->{token}, 'failed'), 'of what has failed');
is(@{ told('/echo/clients/third') }, 0, 'nobody is told');
my $operations = $scene->sql('SELECT count(*) FROM workflow.operations');
is_status(start({ 'X-ATK-Callback' => $scene->url('/echo/clients/2') }), 400, 'who calls at once is not told');
my $port = $scene->url =~ /:(\d+)/ ? $1 : die;
is_status(start({ %async, 'X-ATK-Callback' => $_ }), 400, "nobody is told at $_")
  for $scene->url('/echo'), $scene->url('/echo/others/1'), $scene->url('/echo/clientsandmore'), $scene->url('/echo/clients/../others'), $scene->url('/echo/clients/%2e%2e/others'),
  $scene->url('/echo/clients') =~ s/127/user:password\@127/r, "http://127.0.0.1:$port\@169.254.169.254/echo/clients/1", 'http://169.254.169.254/latest', 'http://10.0.0.1/', 'http://[::1]/', 'http://localhost/', 'ftp://127.0.0.1/', 'file:///etc/passwd', '/rpc/start', 'x', '';
$scene->sql("CREATE SERVER everybodys FOREIGN DATA WRAPPER workflow_http OPTIONS (url '" . $scene->url('/echo/everybodys') . "', allow_private 'true'); GRANT USAGE ON FOREIGN SERVER everybodys TO PUBLIC");
my $public = start({ %async, 'X-ATK-Callback' => $scene->url('/echo/everybodys') });
is_status($public, 400, 'nor where everybody in the database may send to');
unlike($public->{content}, qr/server \\"everybodys/, 'and what that is called is not told');
is($scene->sql('SELECT count(*) FROM workflow.operations'), $operations, 'and nothing is started for that');
is_status(start({ %async, 'X-ATK-Callback' => 'http://127.0.0.1:' . $scene->node->port . '/inside/1' }), 202, 'a server that may not reach private addresses');
is_soon($scene->node, 'postgres', "SELECT callback_state FROM workflow.operations WHERE callback_url LIKE '%/inside/1'", 'failed', 'does not');
is_status($frontend->rpc('send_signal', { name => 'news' }, { %clerk, %{ asks('/echo/others/1') } }), 400, 'of a signal nobody is told');
is_status($frontend->rpc('start', { process => 'of clerks' }, { %clerk, %{ asks('/echo/clients/1') } }), 400, 'a role of its own has servers of its own');
is_status($frontend->rpc('start', { process => 'of clerks' }, { %clerk, %{ asks('/echo/others/1') } }), 202, 'such as this');
ok($partner->wait_for(1, '/echo/others/1'), 'where it is told');
$scene->sql("SELECT workflow.revoke_process('registration', 'workflow_web', 'view')");
is_status(start(asks('/echo/clients/3')), 403, 'the web is told nothing that it may not view');
is_deeply([ sort keys %{ state_of(start()->{json}{token}) } ], [qw(id operations status tasks)], 'nor shown');
$scene->sql("SELECT workflow.grant_process('registration', 'workflow_web', 'view')");

# ---- roles with rights ----

my $own = $frontend->rpc('start', { process => 'of clerks' }, \%clerk);
is_status($own, 201, 'who has rights of his own starts with them');
is_deeply($own->{json}, { id => $own->{json}{id} }, 'and needs no token');
is($own->{headers}{location}, "/rpc/instance?instance=$own->{json}{id}", 'but the number');
is_deeply([ @{ $frontend->look('instance', { instance => $own->{json}{id} }, \%clerk)->{json} }{qw(process status)} ], [ 'of clerks', 'active' ], 'by which he looks at it');
is_status($frontend->rpc('start', { process => 'registration' }, \%clerk), 403, 'those of the web are not his');
my ($sn) = $scene->sql("SELECT serial_number FROM workflow.waiting WHERE instance = $own->{json}{id}");
is_status($frontend->rpc('complete', { serial_number => $sn, data => {} }, \%clerk), 204, 'he completes');
is_status($frontend->rpc('complete', { serial_number => $sn, data => {} }, \%clerk), 409, 'once');
is($scene->sql("SELECT count(*) FROM workflow.late_callbacks WHERE serial_number = '$sn'"), 1, 'what comes late is on record');
is_status($frontend->rpc('set_data', { instance => $own->{json}{id}, data => {} }, \%clerk), 409, 'it has ended');
$own = $frontend->rpc('start', { process => 'of clerks' }, { %clerk, %async });
is_status($own, 202, 'later, too');
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE instance = $own->{json}{id}", 1, 'as is done');
is_status($frontend->rpc('set_data', { instance => $own->{json}{id}, data => {} }, { %clerk, %async }), 202, 'data');
is_status($frontend->rpc('cancel', { instance => $own->{json}{id} }, \%clerk), 204, 'cancelled');
is_status($frontend->rpc('send_signal', { name => 'news' }, \%clerk), 204, 'a signal');
is_status($frontend->rpc('send_signal', { name => 'news' }, { %clerk, %async }), 202, 'later');
is_status($frontend->rpc('send_message', { name => 'news' }, \%clerk), 409, 'a message that nobody waits for');
my $mine = start()->{json};
my @tasks = grep { $_->{instance} == $mine->{id} } @{ $frontend->look('tasks', {}, \%clerk)->{json} };
is_deeply([ map { $_->{step} } @tasks ], ['approve'], 'his tasks');
$sn = $tasks[0]{serial_number};
is_status($frontend->rpc('claim', { serial_number => $sn, person => 'ann' }, \%clerk), 204, 'claimed');
is_status($frontend->rpc('claim', { serial_number => $sn, person => 'bob' }, \%clerk), 409, 'by one of them');
is_status($frontend->rpc('fail', { serial_number => $sn, code => 'REJECTED' }, \%clerk), 204, 'rejected');
is_soon($scene->node, 'postgres', "SELECT data->>'state' FROM workflow.instances WHERE instance = $mine->{id}", 'rejected', 'as its handler knows');
$scene->sql('GRANT USAGE ON SCHEMA workflow TO web_anon');
is_status(start(), 403, 'should everyone be given the schema, he has rights of his own, and none');
$scene->sql('REVOKE USAGE ON SCHEMA workflow FROM web_anon');

# ---- what is answered to what ----

is_status($frontend->rpc('start', { process => 'registration', data => [1] }), 400, 'data that are no object');
is_status($frontend->rpc('start', '{"process": "registration"'), 400, 'a body that is no JSON');
is_status($frontend->rpc('start', { proces => 'registration' }), 404, 'an argument that there is not');
is_status($frontend->rpc('instance', { token => '1' }), 400, 'a token that is none');
is_status($frontend->rpc('complete', { serial_number => '531' }, \%clerk), 400, 'a serial number that is none');
is_status($frontend->rpc('complete', { serial_number => '999_9' }, \%clerk), 404, 'one that was never issued');
is_status($frontend->look('instance', { instance => 999999 }, \%clerk), 404, 'nor was that instance');
is_status($frontend->look('start', { process => 'registration' }), 405, 'nothing is started with GET');
is_status($frontend->rpc('start', { process => 'registration', data => { large => 'x' x 70_000 } }), 413, 'data that are too large');
is_status($frontend->rpc('start', { process => 'registration', data => { large => 'x' x 70_000 } }, \%async), 413, 'nor are they later');

# ---- what somebody finds out who may not ----

my $before = $scene->sql('SELECT count(*) FROM workflow_data.instance');
my @answers = map { my $process = $_; map { $frontend->rpc('start', { process => $process, data => {} }, $_) } {}, \%async, {}, \%async } 'secret', 'for everyone', 'of clerks', 'registratio', '', "secret'", "a\r\nSet-Cookie: x=y";
my %seen = map { ("$_->{status} $_->{reason} $_->{content}" => 1) } @answers;
is(scalar keys %seen, 1, 'a process that there is not is no other than one that may not be started') or diag(join("\n", keys %seen));
is($answers[0]{status}, 404, 'both are unknown');
is($scene->sql('SELECT count(*) FROM workflow_data.instance'), $before, 'and nothing was started');

my $theirs = start()->{json};
my ($number, $proof) = split /\./, $theirs->{token};
($sn) = map { $_->{serial_number} } @{ state_of($theirs->{token})->{tasks} };
my $approve = $scene->sql("SELECT serial_number FROM workflow.waiting WHERE instance = $theirs->{id} AND step = 'approve'");
my ($mines) = split /\./, $mine->{token};
$scene->define('show', '{"steps": [{"step": "wait", "set": {"url": "${$callback_url}"}, "wait": true}]}');
$scene->start('show');
my $url = $scene->sql("SELECT data->>'url' FROM workflow.instances WHERE process = 'show'");
my %bad = (
	'of another instance' => "$mines.$proof", 'altered' => $theirs->{token} =~ s/.$/($& eq 'A' ? 'E' : 'A')/er, 'altered in front' => $theirs->{token} =~ s/\.\K./($& eq 'A' ? 'E' : 'A')/er,
	'of a number that was never given' => "999999.$proof", 'guessed' => "$number." . 'A' x 43,
	'of a callback' => "$number." . ($url =~ /\.([\w-]{43})$/)[0]);
for my $name (sort keys %bad)
{
	my %call = (instance => {}, set_data => { data => { name => 'eve' } }, cancel => {}, complete => { serial_number => $sn }, fail => { serial_number => $sn }, send_message => { name => 'question' });
	is_status($frontend->rpc($_, { token => $bad{$name}, %{ $call{$_} } }), 403, "$_ with a token $name") for sort keys %call;
}
my @wrong = map { $frontend->rpc('instance', { token => "$_." . 'B' x 43 })->{content} } $theirs->{id}, 999_999;
is($wrong[0], $wrong[1], 'whether there is an instance is not told to who guesses');
is_status($frontend->rpc('instance', { token => $_ }), 400, "no token: $_") for '', '.', "$number.", "$number.$proof" . 'A', "0$number.$proof", "-$number.$proof", " $number.$proof",
  "$number.$proof ", '9' x 19 . ".$proof", '9' x 20 . ".$proof", '1' x 100_000, "\x{1}.$proof";
is_status($frontend->rpc('callback', { token => $theirs->{token} }), 400, 'the token of an instance is none of a callback');
is_status($frontend->rpc('callback', { token => "$sn.$proof" }), 403, 'nor is its proof');
is($frontend->post("start/$theirs->{token}", '{}'), 403, 'nor does it start anything');

is_status($frontend->rpc('complete', { token => $mine->{token}, serial_number => $sn }), 404, 'a task of somebody else, with a token of one\'s own');
is_status($frontend->rpc('complete', { token => $theirs->{token}, serial_number => $_ }), 404, "no serial number of the instance: $_") for "$mines\_1", "0$sn", " $sn", "x\r\nSet-Cookie: x=y", '';
is_status($frontend->rpc('complete', { token => $theirs->{token}, serial_number => undef }), 400, 'none at all');
is_status($frontend->rpc('complete', { token => $theirs->{token}, serial_number => $approve }), 403, 'a task of the instance that is for others');
is_status($frontend->rpc('fail', { token => $theirs->{token}, serial_number => $approve }), 403, 'does not fail, either');
is_status($frontend->rpc($_->[0], $_->[1]), 403, "without a token: $_->[0]") for [ set_data => { instance => $theirs->{id}, data => {} } ], [ cancel => { instance => $theirs->{id} } ], [ instance => { instance => $theirs->{id} } ],
  [ complete => { serial_number => $sn } ], [ fail => { serial_number => $sn } ], [ claim => { serial_number => $sn } ], [ send_message => { name => 'question' } ], [ send_signal => { name => 'news' } ], [ tasks => {} ];
is_status($frontend->rpc('cancel', { token => $theirs->{token}, instance => $theirs->{id} }), 404, 'both at once');
is_status(start({ Authorization => 'Bearer ' . Frontend::jwt('workflow_web') =~ s/.$//r }), 401, 'the role of the web is nobody\'s');
is_deeply([ @{ state_of($theirs->{token}) }{qw(status operations)}, state_of($theirs->{token})->{data}{name} ], [ 'active', [], 'john' ], 'nothing of all that has changed it');

# calls of others
$holder->run('BEGIN', "SELECT workflow.set_data($theirs->{id}, '{}')");
is_status($frontend->rpc('complete', { serial_number => $approve }, { %clerk, %async }), 202, 'a clerk calls, and has to wait');
is_deeply(state_of($theirs->{token})->{operations}, [], 'which is none of the starter\'s business');
$holder->run('ROLLBACK');

# a session that others have used before
my $pooled = Session->new($scene->node, 'postgres', verbose => 1);
$pooled->run('BEGIN', 'SET LOCAL ROLE clerk', qq[SELECT workflow_api.complete(serial_number => '999_9')], 'ROLLBACK');
$pooled->run('ROLLBACK');
$pooled->run('BEGIN', 'SET LOCAL ROLE clerk', "SELECT count(*) FROM workflow_api.tasks()", 'COMMIT') for 1 .. 7;
my ($status, $out, $err) = $pooled->run('BEGIN', 'SET LOCAL ROLE web_anon', 'SELECT count(*) FROM workflow_api.tasks()');
like($err, qr/PT403: role "web_anon" has no rights of its own here/, 'what a session has looked up for another role helps nobody');
$pooled->run('ROLLBACK');
# objects that get in the way
($status, $out, $err) = $pooled->run('BEGIN', 'CREATE SCHEMA evil AUTHORIZATION web_anon; GRANT USAGE ON SCHEMA evil TO PUBLIC; GRANT TEMPORARY ON DATABASE postgres TO web_anon', 'SET LOCAL ROLE web_anon',
	'CREATE TEMP TABLE grants AS SELECT $$secret$$::text AS process, $$workflow_web$$::text AS role, $$start$$::text AS privilege',
	(map { "CREATE FUNCTION evil.$_ RETURNS text LANGUAGE plpgsql AS \$\$BEGIN RAISE EXCEPTION 'as %', current_user; END\$\$" } 'current_setting(text, boolean)', 'lower(text)', 'has_schema_privilege(text, text)'),
	'SET LOCAL search_path = evil, pg_temp, pg_catalog', "SELECT set_config('request.headers', '{\"x-atk-mode\": \"ASYNC\"}', true)",
	"SELECT workflow_api.start_public('registration')->>'id' IS NOT NULL");
is($status, 0, 'objects of the caller get in nobody\'s way') or diag($err);
($status, $out, $err) = $pooled->run("SELECT workflow_api.start_public('secret')");
like($err, qr/PT404/, 'nor do they let him start anything');
$pooled->run('ROLLBACK');
is($scene->sql(q[SELECT count(*) FROM pg_proc p WHERE p.pronamespace = 'workflow_api'::regnamespace AND p.prosecdef AND
	(p.proowner <> 'workflow_web'::regrole OR ('search_path=pg_catalog, pg_temp' = ANY (p.proconfig)) IS NOT TRUE)]), 0, 'no function has more rights than the role of the web, nor a path of its caller');
is($scene->sql(q[SELECT rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls FROM pg_roles WHERE rolname = 'workflow_web']), 'f', 'which has none of its own');

# functions that read no such headers
is($frontend->post(($url =~ m{(callback/.*)})[0], '{"a": 1}', asks('/echo/clients/callback')), 204, 'a callback has no modes');
is($scene->sql("SELECT status FROM workflow.instances WHERE process = 'show'"), 'completed', 'it is done at once');
is_status($frontend->look('instance', { token => $theirs->{token} }, { 'X-ATK-Mode' => 'sideways', 'X-ATK-Callback' => $scene->url('/echo/clients/look') }), 200, 'nor has looking');
is($scene->sql(q[SELECT count(*) FROM workflow.operations WHERE callback_url ~ 'clients/(callback|look)$']), 0, 'and nobody is told');

# what is put into the line of the status
my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $frontend->base =~ /(\d+)$/) or die;
my $content = qq({"token": "$theirs->{token}", "serial_number": "a\\r\\nSet-Cookie: a=b\\r\\n\\r\\nb"});
print $socket "POST /rpc/complete HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: " . length($content) . "\r\n\r\n$content";
my $raw = join '', <$socket>;
my ($head) = $raw =~ /^(.*?)\r\n\r\n/s;
unlike($head, qr/^Set-Cookie/m, 'a name does not become a header');
like($head, qr/^HTTP\/1\.1 404 serial number a Set-Cookie: a=b b is none/, 'but stands where it is quoted');

$frontend->stop;
$scene->node->stop;
done_testing();
