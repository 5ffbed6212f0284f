#
# OAuth 2.0: one token for each mapping, asked for once by however many need it, and again when it expires or is rejected; a token service
# that fails, hangs or says rubbish. The tokens are seen nowhere.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils;
use Scene;
use Test::More;
use Time::HiRes qw(sleep time);
use TokenService;
use WorkflowTest;

$ENV{MALLOC_PERTURB_} = 165;
my $scene = Scene->new('oauth', conf => "log_statement = none\nlog_min_messages = debug5\nlog_min_error_statement = panic\n");
my $service = TokenService->start;
my $dir = PostgreSQL::Test::Utils::tempdir();
my $token_url = $service->url('/token');
my $client = "auth 'oauth2', token_url '$token_url', client_id 'client:1', client_secret 'secret-one&='";

$scene->server('api', $service->url, "timeout '10 s', max_in_flight '100'");

sub define_call
{
	my ($name, $more, $http) = @_;
	$scene->define($name, qq({"steps": [{"step": "call", "http": {"server": "api", "path": "/api/) . ($name =~ s/ /-/gr) . q(") . ($http // '') . '}, "save": {"token": "${$reply.body.token}"}'
		  . ($more ? ", $more" : '') . '}]}');
}

sub map_user
{
	my ($options, $role) = @_;
	$role //= 'CURRENT_USER';
	$scene->sql("DROP USER MAPPING IF EXISTS FOR $role SERVER api; CREATE USER MAPPING FOR $role SERVER api OPTIONS ($options)");
}

# The number of the token with which a process was served
sub served
{
	my ($process) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($instance, $status) = $scene->run($process);
	is($status, 'completed', "$process is served") or note(explain($scene->incident($instance)));
	return $scene->data($instance)->{token};
}

sub asked { scalar $service->requests('/token') }
sub error_of { $scene->incident($_[0])->{error} // {} }

define_call('call');
define_call('own', undef, ', "headers": {"Authorization": "Bearer token-99999"}');

# ---- client credentials ----

map_user($client);
is(served('call'), 1, 'with a token');
my ($request) = $service->requests('/token');
is($request->{headers}{authorization}, 'Basic ' . encode_base64('client%3A1:secret-one%26%3D', ''), 'which the client has asked for');
is_deeply($request->{form}, { grant_type => 'client_credentials' }, 'by its credentials');
is(served('call'), 1, 'the next request has the same');
is(asked(), 1, 'nobody asks again');
is(served('own'), 99999, 'a header of the step stands');
$scene->sql("ALTER USER MAPPING FOR CURRENT_USER SERVER api OPTIONS (ADD scope 'a b', ADD audience 'https://x.example/', ADD client_auth 'body')");
is(served('call'), 2, 'altered, it counts at once');
is_deeply(($service->requests('/token'))[-1]{form},
	{ grant_type => 'client_credentials', scope => 'a b', audience => 'https://x.example/', client_id => 'client:1', client_secret => 'secret-one&=' },
	'all options are sent, the client in the body');
is(($service->requests('/token'))[-1]{headers}{authorization}, undef, 'and there alone');
append_to_file("$dir/secret", "secret-two\n");
map_user("auth 'oauth2', token_url '$token_url', client_id 'c', client_secret_file '$dir/secret'", 'PUBLIC');
$scene->sql('DROP USER MAPPING FOR CURRENT_USER SERVER api');
is(served('call'), 3, 'the secret from a file');
is(($service->requests('/token'))[-1]{headers}{authorization}, 'Basic ' . encode_base64('c:secret-two', ''), 'is sent');
$scene->sql(q[CREATE ROLE author LOGIN; GRANT USAGE ON SCHEMA workflow TO author; GRANT EXECUTE ON FUNCTION workflow.define TO author; GRANT USAGE ON FOREIGN SERVER api TO author;
	SET ROLE author; SELECT workflow.define('of author', '{"steps": [{"step": "call", "http": {"server": "api", "path": "/api/author"}, "save": {"token": "${$reply.body.token}"}}]}')]);
is(served('of author'), 3, 'those who share a mapping share its token');
$scene->sql('DROP USER MAPPING FOR PUBLIC SERVER api');
my ($instance) = $scene->run('call');
is(error_of($instance)->{code}, 401, 'dropped, there is none');

# ---- many at once ----

my $before = asked();
$service->set(delay => 1);
map_user($client);
my $first = $scene->sql("SELECT min(workflow.start('call')) FROM generate_series(1, 200)");
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE instance >= $first AND status = 'completed'", 200, 'two hundred at once');
is(asked(), $before + 1, 'ask once');
is($scene->sql("SELECT count(*) FROM workflow.attempts WHERE split_part(serial_number, '_', 1)::bigint >= $first"), 0, 'and none has failed');
is($scene->sql("SELECT count(DISTINCT data->'token') FROM workflow.instances WHERE instance >= $first"), 1, 'all have the same');

# ---- a token that expires ----

$service->set(expires_in => 2);
map_user("$client, scope 'short'");
my $token = served('call');
is(served('call'), $token, 'a token is used');
sleep 2;
is(served('call'), $token + 1, 'until it is about to expire');
$service->set(expires_in => '0');
map_user("$client, scope 'shorter'");
ok(defined served('call'), 'one that has no life is used all the same');
$service->set(expires_in => '3600.5');
map_user("$client, scope 'text'");
$token = served('call');
is(served('call'), $token, 'a life may be a text');

# ---- a token that is rejected ----

define_call('patient', '"retry": {"max": 3}');
$service->set(revoke => $token);
is(served('call'), $token + 1, 'a token that was revoked is replaced, and the request sent again');
is($scene->sql("SELECT count(*) FROM workflow.attempts"), $scene->sql("SELECT count(*) FROM workflow.attempts WHERE (error->>'code') = '401'"), 'which is no attempt of its own');
$before = asked();
$service->set(revoke => 1_000_000);
map_user("$client, scope 'unwanted'");
my $rejected = time();
($instance) = $scene->run('patient');
is(error_of($instance)->{code}, 401, 'if the next one is rejected, too, that is the answer');
is(error_of($instance)->{attempt}, 1, 'to the first attempt');
is(asked(), $before + 2, 'two tokens were tried');
is(scalar($service->requests('/api/patient')), 2, 'in two requests');
$first = $scene->sql("SELECT min(workflow.start('call')) FROM generate_series(1, 100)");
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.incidents WHERE instance >= $first", 100, 'who rejects every token');
cmp_ok(asked(), '<=', $before + 2 + (time() - $rejected) / 10, 'has us ask once in ten seconds at most');

# many under way, when it is revoked
$service->set;
map_user("$client, scope 'revoked'");
$token = served('call');
$service->set(revoke => $token, api_delay => 0.3);
$before = asked();
$first = $scene->sql("SELECT min(workflow.start('call')) FROM generate_series(1, 100)");
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE instance >= $first AND status = 'completed'", 100, 'a hundred whose token is revoked');
is(asked(), $before + 1, 'ask once for another one');

# ---- a token service that fails ----

sub is_refused
{
	my ($name, $does, $message, $tries) = @_;
	$service->set(%$does);
	map_user("$client, scope '" . asked() . "'");
	my $before = asked();
	my $api = $service->requests('/api');
	my ($instance, $status) = $scene->run($tries ? 'tries again' : 'call');
	my $error = error_of($instance);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($error->{code}, 'auth', "$name: no token");
	like($error->{message}, $message, "$name: says why") or note(explain($error));
	unlike($error->{message}, qr/secret/, "$name: without a secret");
	is($error->{attempt}, $tries // 1, "$name: attempts");
	is(asked(), $before + ($tries // 1), "$name: requests");
	is(scalar($service->requests('/api')), $api, "$name: the service was not called");
}
define_call('tries again', '"retry": {"max": 1}');
is_refused('refused', { answer => '401 {"error": "invalid_client", "error_description": "secret-one"}' }, qr/gave no token: it answered 401 \(invalid_client\)$/);
is_refused('an unknown error', { answer => '400 {"error": "secret-one"}' }, qr/it answered 400$/);
is_refused('a redirect', { answer => '302 x', location => $service->url('/token/elsewhere') }, qr/it answered 302$/);
is(scalar($service->requests('/token/elsewhere')), 0, 'is not followed');
is_refused('a redirect of a POST', { answer => '307 x', location => $service->url('/token/elsewhere') }, qr/it answered 307$/);
is_refused('no JSON', { answer => '200 <html>secret-one</html>' }, qr/it answered 200, and no JSON object$/);
is_refused('no object', { answer => '200 ["secret-one"]' }, qr/no JSON object$/);
is_refused('nothing', { answer => '204 ' }, qr/no JSON object$/);
is_refused('deep', { answer => '200 [', repeat => 100000 }, qr/no JSON object$/);
is_refused('bytes', { answer => "200 {\"a\": \"\xff\xfe\0\"}" }, qr/no JSON object$/);
is_refused('no token', { answer => '200 {"access_token": {"a": 1}}' }, qr/has no "access_token"$/);
is_refused('a token with a line end', { token => "token-1\r\nX-Evil: secret" }, qr/cannot be sent in a header$/);
is_refused('a token with NUL', { answer => '200 {"access_token": "token-1\u0000secret"}' }, qr/no JSON object|cannot be sent|no "access_token"/);
is_refused('a token with other letters', { token => "token-1\x{fc}" }, qr/cannot be sent in a header$/);
is_refused('an empty token', { token => '' }, qr/cannot be sent in a header$/);
is_refused('a token that is too long', { length => 70000 }, qr/cannot be sent in a header$/);
is_refused('a token of another kind', { type => 'mac' }, qr/"token_type"/);
is_refused('too much', { answer => '200 secret', repeat => 1_000_000 }, qr/larger than \d+ bytes$/);
is_refused('busy', { answer => '503 x' }, qr/it answered 503$/, 2);
$scene->sql("ALTER SERVER api OPTIONS (SET timeout '500 ms')");
is_refused('silent', { hang => 1 }, qr/no whole answer within 500 ms$/, 2);
$scene->sql("ALTER SERVER api OPTIONS (SET timeout '10 s')");
$service->set(length => 8192);
map_user("$client, scope 'long'");
ok(defined served('call'), 'a token of 8 kB is one');
$service->set(type => 'bearer');
map_user("$client, scope 'lower case'");
ok(defined served('call'), 'and one whose type is written otherwise');

# a client secret that cannot be read
map_user("auth 'oauth2', token_url '$token_url', client_id 'c', client_secret_file '$dir/nothing'");
($instance) = $scene->run('call');
like(error_of($instance)->{message}, qr/^no token could be asked for: the file of option "client_secret_file" cannot be opened: No such file/, 'a file that is not there');

# ---- a pause that grows, and others go on ----

$scene->sql("CREATE USER MAPPING FOR author SERVER api OPTIONS ($client, scope 'author')");
$service->set(answer => '503 x');
map_user("$client, scope 'down'");
define_call('persistent', '"retry": {"max": 1000}');
$before = asked();
my @persistent = split /\n/, $scene->sql("SELECT workflow.start('persistent') FROM generate_series(1, 150)");
is_soon($scene->node, 'postgres', "SELECT count(DISTINCT instance) > 50 FROM workflow.visits v WHERE process = 'persistent' AND attempt > 0", 't', 'attempts fail');
$service->set;
served('of author') for 1 .. 3;
$service->set(answer => '503 x');
my $started = time();
sleep 5;
ok(asked() - $before <= 6, 'many that are to be retried at once ask seldom: ' . (asked() - $before));
cmp_ok($scene->sql("SELECT max(attempt) FROM workflow.visits WHERE process = 'persistent'"), '<=', 5, 'and spend no attempts in between');
is($scene->sql("SELECT count(*) FROM workflow.visits v WHERE process = 'persistent' AND state NOT IN ('calling', 'retrying')"), 0, 'they are calling');
$service->set;
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'persistent' AND status = 'completed'", 150, 'until there is a token');

# down altogether
$service->stop;
map_user("$client, scope 'stopped'");
($instance) = $scene->run('call');
is(error_of($instance)->{code}, 'auth', 'nobody is there');
$service->restart;

# ---- while the token is under way ----

$scene->define('answered', '{"steps": [{"step": "call", "http": {"server": "api", "path": "/api/answered"}, "wait": true, "retry": {"max": 1000}}]}');
for (
	[ 'altered', "ALTER USER MAPPING FOR CURRENT_USER SERVER api OPTIONS (SET scope 'other')", 'completed' ],
	[ 'dropped', 'DROP USER MAPPING FOR CURRENT_USER SERVER api', 'failed' ],
	[ 'another one', "DROP USER MAPPING FOR CURRENT_USER SERVER api; CREATE USER MAPPING FOR CURRENT_USER SERVER api OPTIONS (auth 'bearer', token 'token-7')", 'completed' ],
	[ 'cancelled', undef, 'aborted' ],
	[ 'completed', undef, 'completed' ],
	[ 'completed in the pause', undef, 'completed' ],
	[ 'suspended', undef, 'completed' ])
{
	my ($name, $sql, $status) = @$_;
	$service->set($name =~ /pause/ ? (answer => '503 x') : (hold => 1));
	map_user("$client, scope 'under way, $name'");
	my $before = asked();
	my $instance = $scene->start($name =~ /completed/ ? 'answered' : 'call');
	sleep 0.05 until asked() > $before;
	if ($name =~ /completed/)
	{
		$service->set(answer => '503 x') if $name =~ /pause/;
		my $serial = $scene->serial($instance);
		$scene->wait_for_state($instance, 'retrying') if $name =~ /pause/;
		is($scene->sql("SELECT workflow.complete('$serial')"), 't', 'who answers before he was called is heard');
		$sql = 'SELECT 1';
	}
	$sql //= $name eq 'cancelled' ? "SELECT workflow.cancel($instance)" : "SELECT workflow.suspend($instance)";
	$scene->sql($sql);
	is($scene->finish($instance), 'completed', "it ends before there is a token: $name") if $name =~ /completed/;
	$service->set;
	if ($name eq 'suspended')
	{
		sleep 1;
		is($scene->sql("SELECT status FROM workflow.instances WHERE instance = $instance"), 'suspended', 'a suspended one stays');
		$scene->sql("SELECT workflow.resume($instance)");
	}
	is($scene->finish($instance), $status, "while its token is under way: $name");
}
$service->set(hold => 1);
map_user("$client, scope 'timeout'");
$scene->define('timing out', '{"steps": [{"step": "call", "http": {"server": "api", "path": "/api/timing"}, "timeout": "200 ms", "catch": [{"on": "TIMED_OUT", "next": "late"}]}, {"step": "late", "set": {"late": true}}]}');
($instance) = $scene->run('timing out');
is($scene->path($instance), 'call:TIMED_OUT late:SUCCESS', 'the timeout of a step holds');
$service->set;
ok(defined served('call'), 'and the next one gets the token');

# the dispatcher dies
$service->set(hold => 1);
map_user("$client, scope 'dispatcher'");
$before = asked();
$instance = $scene->start('call');
sleep 0.05 until asked() > $before;
$scene->sql("SELECT pg_terminate_backend(pid) FROM workflow.workers WHERE kind = 'dispatcher'");
sleep 0.05 until asked() > $before + 1;
$service->set;
is($scene->finish($instance), 'completed', 'another dispatcher asks anew');
is(asked(), $before + 2, 'once');

# ---- where the token service may be ----

$scene->sql(q[CREATE ROLE stranger LOGIN; GRANT USAGE ON FOREIGN SERVER api TO stranger]);
my $elsewhere = TokenService->start;
my $options = "auth 'oauth2', client_id 'c', client_secret 's', token_url '" . $elsewhere->url('/token') . "'";
is($scene->error("SET ROLE stranger; CREATE USER MAPPING FOR CURRENT_USER SERVER api OPTIONS ($options)"), '', 'a token service elsewhere');
like($scene->error("SET ROLE stranger; ALTER USER MAPPING FOR CURRENT_USER SERVER api OPTIONS (ADD token_allow_private 'true')"), qr/^42501/, 'only superusers may let it be at a private address');
is($scene->error("SET ROLE stranger; ALTER USER MAPPING FOR CURRENT_USER SERVER api OPTIONS (ADD token_allow_private 'false')"), '', 'others may forbid it');
like($scene->error("SET ROLE stranger; ALTER USER MAPPING FOR CURRENT_USER SERVER api OPTIONS (ADD token_ca '/x')"), qr/^42501/, 'and whom to trust needs the right to read files');
map_user($options);
($instance) = $scene->run('call');
like(error_of($instance)->{message}, qr/gave no token: the address of the host is not public \(loopback\): only a user mapping with token_allow_private may reach it$/, 'that the server may be reached there says nothing of others');
is(scalar(my @none = $elsewhere->requests('/')), 0, 'it was not asked');
map_user("$options, token_allow_private 'true'");
ok(defined served('call'), 'unless the mapping says so');

# ---- nowhere else ----

my $pattern = 'token-\d+-secret|secret-(one|two)|' . join('|', map { quotemeta encode_base64($_, '') } 'client%3A1:secret-one%26%3D', 'c:secret-two');
my @relations = split /\n/, $scene->sql(q[SELECT c.oid::regclass FROM pg_class c WHERE relnamespace IN ('workflow'::regnamespace, 'workflow_data'::regnamespace) AND relkind IN ('r', 'p', 'v', 'm') ORDER BY 1]);
my @found = grep { $scene->sql("SELECT t::text FROM $_ t") =~ /$pattern/ } @relations;
is("@found", '', 'no token is in any table or view');
is($scene->sql("SELECT count(*) FROM pg_stat_activity a WHERE a::text ~ '-secret|secret-' AND pid <> pg_backend_pid()"), 0, 'nor in what the server shows of its processes');
ok(slurp_file($scene->node->logfile) !~ /$pattern/, 'nor in the log');

$scene->node->stop;
done_testing();
