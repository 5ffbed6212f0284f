#
# Refresh tokens, which the token service replaces with each use: the new one is in the user mapping before the token that came with it is
# used, whatever crashes, and seen nowhere else.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Utils;
use Scene;
use Test::More;
use Time::HiRes qw(sleep time);
use TokenService;
use WorkflowTest;

$ENV{MALLOC_PERTURB_} = 165;
my $scene = Scene->new('refresh', conf => "log_statement = none\nlog_min_messages = debug5\nlog_min_error_statement = panic\n");
my $service = TokenService->start;
my $token_url = $service->url('/token');

$scene->server('api', $service->url, "timeout '10 s'");
$scene->define('call', '{"steps": [{"step": "call", "http": {"server": "api", "path": "/api/call"}, "save": {"token": "${$reply.body.token}"}}]}');

sub refresh_token
{
	return $scene->sql("SELECT option_value FROM pg_user_mappings m, pg_options_to_table(m.umoptions) WHERE srvname = 'api' AND option_name = 'refresh_token'");
}

sub served
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($instance, $status) = $scene->run('call');
	is($status, 'completed', 'a request is served') or note(explain($scene->incident($instance)));
	return $scene->data($instance)->{token};
}

sub asked { scalar $service->requests('/token') }

# Let the next request need a new token: the service does not take those that there are, and was not asked lately.
sub expire
{
	$scene->sql("ALTER USER MAPPING FOR CURRENT_USER SERVER api OPTIONS (SET scope '" . time() . "')");
}

# ---- one that stays ----

$scene->sql("CREATE USER MAPPING FOR CURRENT_USER SERVER api OPTIONS (auth 'oauth2', token_url '$token_url', client_id 'c', refresh_token 'refresh-secret-a', scope 'x')");
my $modified = $scene->sql("SELECT xmin FROM pg_user_mapping");
is(served(), 1, 'a public client');
is_deeply(($service->requests('/token'))[0]{form}, { grant_type => 'refresh_token', refresh_token => 'refresh-secret-a', client_id => 'c', scope => 'x' }, 'asks by its refresh token');
is(($service->requests('/token'))[0]{headers}{authorization}, undef, 'and says who it is in the body');
is($scene->sql("SELECT xmin FROM pg_user_mapping"), $modified, 'the mapping is as it was');

# ---- one that is replaced ----

$service->set(rotate => 1);
$service->takes('refresh-secret-b');
$scene->sql("ALTER USER MAPPING FOR CURRENT_USER SERVER api OPTIONS (SET refresh_token 'refresh-secret-b', ADD client_secret 's')");
is(served(), 2, 'another refresh token');
is(refresh_token(), 'refresh-secret-2', 'which the service replaces');
is(served(), 2, 'the token is used all the same');
is(asked(), 2, 'and nobody asks again');
expire();
is(served(), 3, 'the next time');
is(($service->requests('/token'))[-1]{form}{refresh_token}, 'refresh-secret-2', 'the new one is sent');
is(refresh_token(), $service->refresh_token, 'and replaced');
is($scene->sql("SELECT count(*) FROM pg_user_mapping, pg_options_to_table(umoptions)"), 6, 'the other options stay');
is($scene->sql("SELECT count(*) FROM workflow.attempts"), 0, 'no attempt has failed');

# that of PUBLIC
$scene->sql("DROP USER MAPPING FOR CURRENT_USER SERVER api; CREATE USER MAPPING FOR PUBLIC SERVER api OPTIONS (auth 'oauth2', token_url '$token_url', client_id 'c', client_secret 's', refresh_token '" . $service->refresh_token . "')");
is(served(), 4, 'a mapping of PUBLIC');
is(refresh_token(), $service->refresh_token, 'likewise');
$scene->sql("DROP USER MAPPING FOR PUBLIC SERVER api; CREATE USER MAPPING FOR CURRENT_USER SERVER api OPTIONS (auth 'oauth2', token_url '$token_url', client_id 'c', client_secret 's', scope 'x', refresh_token '" . $service->refresh_token . "')");

# ---- crashes ----

sub kill_dispatcher
{
	killed($scene->node, 'dispatcher');
	is_soon($scene->node, 'postgres', 'SELECT 1', 1, 'the server is there again');
}
my $token = served();
kill_dispatcher();
is(served(), $token + 1, 'after a dispatcher was killed the next one asks by the new refresh token');
$scene->node->stop('immediate');
$scene->node->start;
is(served(), $token + 2, 'and after a crash of the server');
$scene->node->restart;
is(served(), $token + 3, 'and after a restart');

# killed as soon as the service has been called with the token that came with the new one
for my $round (1 .. 3)
{
	$service->set(rotate => 1, api_delay => 1);
	expire();
	my $before = $service->requests('/api');
	my $instance = $scene->start('call');
	sleep 0.005 until $service->requests('/api') > $before;
	kill_dispatcher();
	$service->set(rotate => 1);
	is($scene->finish($instance), 'completed', 'killed while a token is used for the first time');
	is(refresh_token(), $service->refresh_token, 'nothing is lost');
}

# killed while a reply that came together with the new one is handled
$scene->sql('ALTER SYSTEM SET workflow.move_timeout = $$20 s$$');
$scene->sql('SELECT pg_reload_conf()');
$scene->define('beside', '{"steps": [{"step": "call", "http": {"server": "api", "path": "/api/beside", "headers": {"Authorization": "Bearer token-99999"}}}]}');
$service->set(rotate => 1, hold => 1, api_delay => 2);
my ($beside, $before) = ($scene->start('beside'), asked());
wait_until(sub { $service->requests('/api/beside') > 0 }, 'a request is under way');
expire();
my $calling = $scene->start('call');
wait_until(sub { asked() > $before }, 'and one for a token');
my $holder = $scene->node->background_psql('postgres', on_error_stop => 1);
$holder->query_safe('BEGIN; LOCK TABLE workflow_data.visit IN EXCLUSIVE MODE');
kill 'STOP', my $dispatcher = wait_for_workers($scene->node, 'postgres');
my $latest = $service->refresh_token;
$service->set(rotate => 1);
wait_until(sub { $service->refresh_token ne $latest }, 'the token service answers');
sleep 2.5;
kill 'CONT', $dispatcher;
wait_until(sub { $scene->sql("SELECT count(*) FROM pg_locks WHERE pid = $dispatcher AND NOT granted") > 0 }, 'the move that follows from the reply waits for a lock');
kill_dispatcher();
eval { $holder->quit };
is($scene->finish($_), 'completed', 'both go on with another dispatcher') for $beside, $calling;
is(refresh_token(), $service->refresh_token, 'nothing is lost');

# ---- when it cannot be stored ----

$holder = $scene->node->background_psql('postgres', on_error_stop => 1);
expire();
$holder->query_safe("BEGIN; SELECT FROM pg_user_mapping FOR UPDATE");
my $began = time();
$token = served();
cmp_ok(time() - $began, '<', 10, 'nobody waits for whoever has the mapping locked');
isnt(refresh_token(), $service->refresh_token, 'while the mapping is locked, the old one is there');
is(served(), $token, 'and the token is used');
$holder->query_safe('COMMIT');
is_soon($scene->node, 'postgres', "SELECT option_value FROM pg_user_mapping, pg_options_to_table(umoptions) WHERE option_name = 'refresh_token'", $service->refresh_token, 'then the new one');
like(slurp_file($scene->node->logfile), qr/LOG: .*could not store the new refresh token of user mapping \d+/, 'the log says so');
is(served(), $token, 'nobody has asked again');

# another option is altered while it is to be stored, or still under way: the new one is not lost
expire();
$holder->query_safe("BEGIN; ALTER USER MAPPING FOR CURRENT_USER SERVER api OPTIONS (SET scope 'while it is to be stored')");
$token = served();
$holder->query_safe('COMMIT');
ok(served() > $token, 'altered meanwhile, the mapping counts at once');
is_soon($scene->node, 'postgres', "SELECT option_value FROM pg_user_mapping, pg_options_to_table(umoptions) WHERE option_name = 'refresh_token'", $service->refresh_token, 'with the refresh token that was not stored yet');
$service->set(rotate => 1, hold => 1);
expire();
$before = asked();
my @both = $scene->start('call');
sleep 0.02 until asked() > $before;
expire();
push @both, $scene->start('call');
sleep 0.5;
is(asked(), $before + 1, 'one who comes while a refresh token is replaced waits for the answer');
$service->set(rotate => 1);
is($scene->finish($_), 'completed', 'then both are served') for @both;
is(refresh_token(), $service->refresh_token, 'and nothing is lost');

# altered meanwhile by somebody else: his counts
expire();
$holder->query_safe("BEGIN; ALTER USER MAPPING FOR CURRENT_USER SERVER api OPTIONS (SET refresh_token 'refresh-secret-z')");
$token = served();
$holder->query_safe('COMMIT');
sleep 3;
is(refresh_token(), 'refresh-secret-z', 'one that somebody else has set is not overwritten');
my ($instance) = $scene->run('call');
like($scene->incident($instance)->{error}{message}, qr/gave no token: it answered 400 \(invalid_grant\)$/, 'and is used');
$service->takes('refresh-secret-y');
$scene->sql("ALTER USER MAPPING FOR CURRENT_USER SERVER api OPTIONS (SET refresh_token 'refresh-secret-y')");
ok(defined served(), 'set right, it works at once');
$holder->quit;

# event triggers and read-only sessions are not concerned
$scene->sql(q[CREATE FUNCTION never() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'never: %', tg_tag; END $$; CREATE EVENT TRIGGER never ON ddl_command_start EXECUTE FUNCTION never();
	ALTER DATABASE postgres SET default_transaction_read_only = on]);
my $old = refresh_token();
$service->set(rotate => 1, expires_in => 1);
my $pid = wait_for_workers($scene->node, 'postgres');
$scene->sql("SELECT pg_terminate_backend($pid)");
sleep 0.02 while -d "/proc/$pid";
$scene->sql('BEGIN READ WRITE; SELECT workflow.start($$call$$); COMMIT');
is_soon($scene->node, 'postgres', "SELECT option_value <> '$old' FROM pg_user_mapping, pg_options_to_table(umoptions) WHERE option_name = 'refresh_token'", 't', 'it is stored in a database whose sessions only read, beside event triggers');
$scene->sql('BEGIN READ WRITE; ALTER DATABASE postgres RESET default_transaction_read_only; COMMIT');
$scene->sql('DROP EVENT TRIGGER never');

# ---- nowhere else ----

my $pattern = 'refresh-secret|token-\d+-secret';
my @relations = split /\n/, $scene->sql(q[SELECT c.oid::regclass FROM pg_class c WHERE relnamespace IN ('workflow'::regnamespace, 'workflow_data'::regnamespace) AND relkind IN ('r', 'p', 'v', 'm') ORDER BY 1]);
my @found = grep { $scene->sql("SELECT t::text FROM $_ t") =~ /$pattern/ } @relations;
is("@found", '', 'no token is in any table or view of workflow');
is($scene->sql("SELECT count(*) FROM pg_stat_activity a WHERE backend_type LIKE 'workflow%' AND a::text ~ '$pattern'"), 0, 'nor in what the server shows of the workers');
my @lines = grep { /$pattern/ && !/STATEMENT|option_value/ } split /\n/, slurp_file($scene->node->logfile);
is("@lines", '', 'nor in the log');

$scene->node->stop;
done_testing();
