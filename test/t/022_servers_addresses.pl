#
# Addresses: private ones are refused, however they are written, unless a superuser has allowed them; redirects are not
# followed; a server's owner cannot get around that.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Scene;
use Test::More;
use WorkflowTest;

my $scene = Scene->new('addresses');
my $port = $scene->partner->port;
my $H = '"headers": {' . Scene::HEADERS . '}';

sub define_call
{
	my ($name, $server, $path) = @_;
	$scene->define($name, qq({"steps": [{"step": "call", "http": {"server": "$server", "path": "$path", $H}, "retry": {"max": 3}}]}));
}

# ---- loopback, in all spellings ----

my $n = 0;
for my $host ('127.0.0.1', 'localhost', 'LOCALHOST', 'localhost.', '127.1', '2130706433', '0x7f000001', '0177.0.0.1', '127.0.0.2', '0.0.0.0', '[::1]', '[::ffff:127.0.0.1]', '[::]', '[::ffff:7f00:1]')
{
	my $name = 'private ' . ++$n;
	my $error = $scene->error("CREATE SERVER \"$name\" FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://$host:$port')");
	if ($error ne '')
	{
		like($error, qr/^22023: /, "$host is no address at all");
		next;
	}
	define_call($name, $name, '/ok');
	my ($instance, $status) = $scene->run($name);
	my $incident = $scene->incident($instance) // {};
	is($incident->{outcome}, 'SYSTEM_ERROR', "$host is not called");
	# a name may not be known here, and not every machine has IPv6
	if (($incident->{error}{code} // '') eq 'connect' && $host =~ /\[|localhost\.|^0/)
	{
		unlike($incident->{error}{message}, qr/Connection refused/, "$host: not even tried") if $host !~ /\[/;
		next;
	}
	is($incident->{error}{code}, 'request', "$host: with this code");
	is($incident->{error}{attempt}, 1, "$host: is not tried again");
	like($incident->{error}{message}, qr/not public.*allow_private/, "$host: and a reason");
}
is(scalar($scene->partner->requests), 0, 'nothing has reached the partner');
is($scene->partner->stats->{connections}, 1, 'not even a connection, but the one that asks');

# ---- allowed ----

$scene->server('allowed', "http://localhost:$port/v1");
define_call('allowed', 'allowed', '/ok');
my ($instance, $status) = $scene->run('allowed');
is($status, 'completed', 'a superuser may allow them');
is(($scene->requests($instance))[0]{headers}{host}, "localhost:$port", 'by name too');
$scene->sql("ALTER SERVER allowed OPTIONS (SET allow_private 'false')");
($instance, $status) = $scene->run('allowed');
is($status, 'failed', 'and forbid them again');
is(scalar($scene->requests($instance)), 0, 'also on a connection that is still open');
my $error = $scene->incident($instance)->{error};
is($error->{code}, 'request', 'with this code');
$scene->sql("ALTER SERVER allowed OPTIONS (SET allow_private 'true')");
($instance, $status) = $scene->run('allowed');
is($status, 'completed', 'allowed once more');

# one server's permission is not another's, though they share the address and perhaps the connection
$scene->sql("CREATE SERVER forbidden FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://localhost:$port/v1')");
define_call('forbidden', 'forbidden', '/ok');
($instance, $status) = $scene->run('forbidden');
is($status, 'failed', 'a server beside it is not allowed');
is(scalar($scene->requests($instance)), 0, 'and sends nothing through its connection');

# ---- who may allow ----

$scene->sql('CREATE ROLE operator LOGIN; GRANT USAGE ON FOREIGN DATA WRAPPER workflow_http TO operator');
like($scene->error("SET ROLE operator; CREATE SERVER mine FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://127.0.0.1:$port', allow_private 'true')"),
	qr/^42501: /, 'others may not create such a server');
is($scene->error("SET ROLE operator; CREATE SERVER mine FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://127.0.0.1:$port')"), '', 'but one without');
like($scene->error("SET ROLE operator; ALTER SERVER mine OPTIONS (ADD $_)"), qr/^42501: /, "nor add $_")
  for "allow_private 'true'", "verify 'false'", "ca '/etc/passwd'";
$scene->sql('ALTER SERVER allowed OWNER TO operator');
is($scene->error("SET ROLE operator; ALTER SERVER allowed OPTIONS (ADD timeout '5 s')"), '', 'the owner of one that is allowed may change its timeout');
like($scene->error("SET ROLE operator; ALTER SERVER allowed OPTIONS (SET url 'http://127.0.0.1:1')"), qr/^42501: /, 'but not its address');

# ---- redirects ----

for my $to ('/ok', "http://127.0.0.1:$port/elsewhere", 'file:///etc/passwd', 'gopher://127.0.0.1:1/x')
{
	(my $path = $to) =~ s/([^A-Za-z0-9])/sprintf('%%%02X', ord $1)/ge;
	define_call("redirect $to", 'partner', "/redirect?to=$path");
	($instance, $status) = $scene->run("redirect $to");
	is($scene->incident($instance)->{error}{code}, '302', "a redirect to $to is an answer like another");
	is(scalar($scene->requests($instance)), 1, 'and not followed');
}
is(scalar($scene->partner->requests('/elsewhere')), 0, 'wherever it led');

# ---- proxies of the environment are not asked ----

$scene->node->stop;
{
	local %ENV = (%ENV, http_proxy => 'http://127.0.0.1:1', ALL_PROXY => 'http://127.0.0.1:1', all_proxy => 'http://127.0.0.1:1');
	$scene->node->start;
}
($instance, $status) = $scene->run('allowed');
is($status, 'completed', 'a proxy in the environment is not asked');

$scene->node->stop;
done_testing();
