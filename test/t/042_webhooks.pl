#
# Public webhooks: the URLs that outside systems are sent, who can do what with them, on every attempt, over a crash, in a copy.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Utils;
use Scene;
use Test::More;
use Time::HiRes qw(sleep);
use WorkflowTest;

my $BASE = 'https://hooks.example.com/shop';
my $scene = Scene->new('webhooks', conf => "workflow.callback_base = '$BASE'\n");
my $H = '"headers": {' . Scene::HEADERS . '}';
my $json = JSON::PP->new->allow_nonref;

$scene->sql('CREATE ROLE anon; GRANT USAGE ON SCHEMA workflow TO anon');

# As a role that has no privilege on any process: the answer, or the SQLSTATE of the error.
sub ask
{
	my ($sql) = @_;
	my (undef, $stdout, $stderr) = $scene->node->psql('postgres', "\\set VERBOSITY verbose\nSET ROLE anon; SELECT $sql");
	return $stderr =~ /ERROR:\s+(\w{5})/ ? $1 : $stdout;
}
sub callback  { return ask("workflow.callback('$_[0]'" . (defined $_[1] ? ", '$_[1]'" : '') . ')') }
sub heartbeat { return ask("workflow.callback_heartbeat('$_[0]'" . (defined $_[1] ? ", '$_[1]'" : '') . ')') }

# The tokens of each request.
sub tokens
{
	my ($instance) = @_;
	my @tokens;
	for my $request ($scene->requests($instance))
	{
		my $body = $json->decode($request->{body});
		my ($callback) = $body->{callback} =~ m{^\Q$BASE\E/callback/([0-9]+_[0-9]+\.[A-Za-z0-9_-]+)$} or die "no callback url: $body->{callback}\n";
		my ($heartbeat) = $body->{heartbeat} =~ m{^\Q$BASE\E/heartbeat/([0-9]+_[0-9]+\.[A-Za-z0-9_-]+)$} or die "no heartbeat url: $body->{heartbeat}\n";
		push @tokens, { callback => $callback, heartbeat => $heartbeat };
	}
	return @tokens;
}

sub define_work
{
	my ($name, $path, $more) = @_;
	$more = $more ? ", $more" : '';
	$scene->define($name, qq[{"steps": [{"step": "work", "http": {"server": "partner", "path": "$path", $H,
		"body": {"callback": "\${\$callback_url}", "heartbeat": "\${\$heartbeat_url}"}}, "wait": true, "save": {"said": "\${\$result.response}"}$more}]}]);
}
define_work('work', '/say?status=202');

sub waiting
{
	my ($process) = @_;
	my $instance = $scene->start($process // 'work');
	$scene->wait_for_state($instance, 'waiting');
	return ($instance, (tokens($instance))[-1]);
}

# ---- what a URL is good for ----

my ($instance, $token) = waiting();
my ($other, $other_token) = waiting();
isnt($token->{callback}, $token->{heartbeat}, 'a token for each purpose');
like($token->{callback}, qr/^\Q${\$scene->serial($instance)}\E\./, 'of its visit');
is(heartbeat($token->{heartbeat}, '{"percent": 5}'), 't', 'a heartbeat is heard');
is($scene->sql("SELECT progress->'percent' FROM workflow.waiting WHERE instance = $instance"), 5, 'with its progress');
is(callback($token->{heartbeat}), '28000', 'the token of a heartbeat is no good for a callback');
is(heartbeat($token->{callback}), '28000', 'nor the other way round');
my ($sn, $secret) = split /\./, $token->{callback};
my ($other_sn, $other_secret) = split /\./, $other_token->{callback};
is(callback("$other_sn.$secret"), '28000', 'nor for another visit');
is(callback("$sn.$other_secret"), '28000', 'nor that of another visit for this one');
is(callback("$sn." . reverse $secret), '28000', 'guessing does not help');
is(callback($_), '22P02', "'$_' is no token") for $sn, "$sn.", "$sn.short", '.', '', "$sn.$secret.$secret";
is(ask("workflow.complete('$sn')"), '42704', 'a serial number alone is no right, and tells nothing');
is(ask('* FROM workflow_data.secret'), '42501', 'nobody can read the key');
is($scene->serial($instance), $sn, 'nothing has moved');
is(callback($token->{callback}, '{"done": true}'), 't', 'a callback is accepted');
is($scene->finish($instance), 'completed', 'and is the end');
is_deeply($scene->data($instance)->{said}, { done => JSON::PP::true }, 'with its data');
is(callback($token->{callback}, '{"done": 2}'), 'f', 'the second one is late');
is(heartbeat($token->{heartbeat}), 'f', 'and a heartbeat is told to stop');
is($scene->sql("SELECT count(*) FROM workflow.late_callbacks WHERE serial_number = '$sn' AND data = '{\"done\": 2}'"), 1, 'the late one is on record');
is($scene->serial($other), $other_sn, 'the other one still waits');

# ---- attempts, loops, cancel requests ----

define_work('flaky', '/flaky/accept?fail=2&callback=none', '"retry": {"max": 2, "delay": "20 ms"}');
($instance) = waiting('flaky');
my @tokens = tokens($instance);
is(scalar @tokens, 3, 'three attempts');
is_deeply($tokens[$_], $tokens[0], 'each with the same URLs') for 1, 2;
is(callback($tokens[0]{callback}), 't', 'those of the first are good');

$scene->define('stop', qq[{"steps": [{"step": "work", "http": {"server": "partner", "path": "/say?status=202", $H}, "wait": true,
	"cancel": {"path": "/stop", "headers": {"X-Instance": "\${\$instance}"}, "body": {"callback": "\${\$callback_url}", "heartbeat": "\${\$heartbeat_url}"}}}]}]);
$instance = $scene->start('stop');
$scene->wait_for_state($instance, 'waiting');
$scene->sql("SELECT workflow.cancel($instance)");
my (undef, $stop) = $scene->wait_for_requests(2, $instance);
my ($confirm) = $json->decode($stop->{body})->{callback} =~ m{/([^/]+)$};
is_soon($scene->node, 'postgres', "SELECT cancel_phase FROM workflow_data.visit WHERE instance = $instance", 'confirm', 'a cancel request has them, too');
is(callback($confirm, '"stopped"'), 't', 'and they confirm it');
is($scene->finish($instance), 'aborted', 'which is the end');
is($scene->history($instance, 'work')->{result}{response}, 'stopped', 'with what was said');

# before the reply
define_work('slow', '/held');
$instance = $scene->start('slow');
$scene->wait_for_requests(1, $instance);
is(callback((tokens($instance))[0]{callback}, '"early"'), 't', 'a callback before the reply');
$scene->let_go($instance);
is($scene->finish($instance), 'completed', 'is the end');
is($scene->data($instance)->{said}, 'early', 'after the reply was handled');

# heartbeats keep it alive
define_work('alive', '/say?status=202', '"heartbeat": "2 s"');
($instance, $token) = waiting('alive');
my $beats = 0;
for (1 .. 5)
{
	sleep 0.5;
	$beats++ if heartbeat($token->{heartbeat}) eq 't';
}
is($beats, 5, 'heartbeats are heard');
is($scene->sql("SELECT state FROM workflow.visits WHERE instance = $instance"), 'waiting', 'and keep it alive');
is($scene->finish($instance), 'failed', 'until they end');
is($scene->incident($instance)->{outcome}, 'DIED', 'then it has died');
# an incident lives, and the one who knows best may still say so
is(callback($token->{callback}, '"alive after all"'), 't', 'a callback for an incident');
is($scene->finish($instance), 'completed', 'mends it');

# ---- as sent, and given to somebody ----

$scene->define('hooked', qq[{"steps": [{"step": "call", "http": {"server": "partner", "path": "/accept?callback=none", $H,
	"body": {"sn": "\${\$serial_number}", "callback": "\${\$callback_url}", "heartbeat": "\${\$heartbeat_url}"}}, "wait": true, "save": true}]}]);
$instance = $scene->start('hooked');
my ($request) = $scene->wait_for_requests(1, $instance);
my $body = $json->decode($request->{body});
($token) = $body->{callback} =~ m{^\Q$BASE\E/callback/(\d+_\d+\.[\w-]{43})$};
my ($beat) = $body->{heartbeat} =~ m{^\Q$BASE\E/heartbeat/(\d+_\d+\.[\w-]{43})$};
ok($token && $beat, 'the request brings both URLs');
$scene->sql('CREATE ROLE anybody; GRANT USAGE ON SCHEMA workflow TO anybody');
is($scene->sql("SET ROLE anybody; SELECT workflow.callback_heartbeat('$beat', '1')"), 't', 'whoever has the one can say that it lives');
like($scene->error("SET ROLE anybody; SELECT workflow.callback('$beat')"), qr/^28000/, 'but not finish it');
is($scene->sql("SET ROLE anybody; SELECT workflow.callback('$token', '{\"by\": \"url\"}')"), 't', 'whoever has the other can');
is($scene->finish($instance), 'completed', 'it is');
is($scene->data($instance)->{by}, 'url', 'with its data');
is($scene->sql("SET ROLE anybody; SELECT workflow.callback('$token', '{}')"), 'f', 'once');

# ---- another key ----

my $session = $scene->node->background_psql('postgres', on_error_stop => 0);
my $heard = sub { $session->query("SELECT 'heard ' || workflow.callback_heartbeat('$_[0]', '1');") };
($instance, $token) = waiting();
like($heard->($token->{heartbeat}), qr/heard true/, 'a session that knows the key');
my $key = $scene->sql('SELECT key FROM workflow_data.secret');
$scene->sql('BEGIN; DELETE FROM workflow_data.secret; ROLLBACK');
like($heard->($token->{heartbeat}), qr/heard true/, 'and is still right after a rollback');
$scene->sql('UPDATE workflow_data.secret SET key = sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))');
unlike($heard->($token->{heartbeat}), qr/heard/, 'takes no token of the old one, when there is another');
my ($later, $later_token) = waiting();
like($heard->($later_token->{heartbeat}), qr/heard true/, 'but those that workers make from then on');
is($scene->serial($instance), (split /\./, $token->{callback})[0], 'what was waited for still is');
$scene->sql("UPDATE workflow_data.secret SET key = '$key'");
like($heard->($token->{heartbeat}), qr/heard true/, 'the old one can be put back');
unlike($heard->($later_token->{heartbeat}), qr/heard/, 'instead of the new one');
$session->quit;
like($scene->error("UPDATE workflow_data.secret SET key = 'short'"), qr/^23514/, 'a key has its length');
$scene->sql("SELECT workflow.cancel($_)") for $instance, $later;

# ---- over a crash, in a copy, in another database ----

crash($scene->node);
start_again($scene->node);
is(callback($other_token->{callback}, '1'), 't', 'URLs are good after a crash');
($instance, $token) = waiting();
$scene->node->safe_psql('postgres', 'CREATE DATABASE other; CREATE DATABASE copy');
add_extension($scene->node, 'other');
$scene->node->safe_psql('other', q[SELECT workflow.define('work', '{"steps": [{"step": "work", "wait": true}]}')]);
my (undef, undef, $stderr) = $scene->node->psql('other', "\\set VERBOSITY verbose\nSELECT workflow.callback('$token->{callback}')");
like($stderr, qr/28000/, 'another database has another key');

my $dump = $scene->node->backup_dir . '/webhooks.sql';
mkdir $scene->node->backup_dir;
PostgreSQL::Test::Utils::run_log([ 'pg_dump', '-f', $dump, $scene->node->connstr('postgres') ]) or BAIL_OUT('no dump');
PostgreSQL::Test::Utils::run_log([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $scene->node->connstr('copy') ]) or BAIL_OUT('no restore');
is($scene->node->safe_psql('copy', "SELECT workflow.callback('$token->{callback}', '\"restored\"')"), 't', 'URLs that are out in the world are good after a restore');
is(callback($token->{callback}, '"here"'), 't', 'and where it came from');

# tokens are good after a restore, and for nobody who was not given them
my $archive = $scene->node->basedir . '/dump';
$instance = $scene->start('hooked');
($request) = $scene->wait_for_requests(1, $instance);
($token) = $json->decode($request->{body})->{callback} =~ m{([^/]+)$};
$scene->wait_for_state($instance, 'waiting');
$scene->node->command_ok([ 'pg_dump', '-Fc', '-f', $archive, $scene->node->connstr('postgres') ], 'dumped');
$scene->sql('CREATE DATABASE restored');
$scene->node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $scene->node->connstr('restored'), $archive ], 'restored');
is($scene->node->safe_psql('restored', "SELECT workflow.callback('$token')"), 't', 'a token that was given away before is good in the restored database');
$scene->sql('CREATE DATABASE stranger');
$scene->node->safe_psql('stranger', q[CREATE EXTENSION workflow; SELECT workflow.define('hooked', '{"steps": [{"step": "call", "wait": true}]}')]);
(undef, undef, $stderr) = $scene->node->psql('stranger', "\\set VERBOSITY sqlstate\nSELECT workflow.callback('$token')");
like($stderr, qr/28000/, 'and in no other one');

# ---- without a base ----

$scene->node->append_conf('postgresql.conf', "workflow.callback_base = ''");
$scene->node->restart;
$instance = $scene->start('work');
is($scene->finish($instance), 'failed', 'without a base there are no URLs');
my $error = $scene->incident($instance)->{error};
is("$error->{code}: $error->{message}", 'template: "${$callback_url}" cannot be worked out: workflow.callback_base is not set', 'which is told');
is(scalar($scene->requests($instance)), 0, 'and nobody is sent a request that he could not answer');

# ---- nothing of it is written down ----

is($scene->sql("SELECT count(*) FROM workflow_data.visit v WHERE v::text LIKE '%' || '$secret' || '%'"), 0, 'no row has a token');
$scene->node->stop;
done_testing();
