#
# Addresses where they matter: in a network of our own, which has public ones, redirects and names that change lead into the private part of it.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

# As the same user, with what it takes to make a network; the test is run there. That is before the output is taken over by other modules.
BEGIN
{
	if (!$ENV{WF_IN_NETWORK})
	{
		my $unshare = 'unshare --user --map-current-user --keep-caps --net --mount';
		plan skip_all => 'this user may make no network namespace' unless system("$unshare sh -c 'ip link set lo up && mount --bind /etc/hosts /etc/resolv.conf' >/dev/null 2>&1") == 0;
		$ENV{WF_IN_NETWORK} = 1;
		exec(split(/ /, $unshare), $^X, $0) or die "unshare: $!";
	}
}

use NameServer;
use PostgreSQL::Test::Utils;
use Scene;
use WorkflowTest;

my @ADDRESSES = ('93.184.216.34', '93.184.216.35', '10.1.2.3', '169.254.169.254');
my $resolv = PostgreSQL::Test::Utils::tempdir() . '/resolv.conf';
append_to_file($resolv, "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
system("mount --bind $resolv /etc/resolv.conf") == 0 or die "resolv.conf: $?";
system('ip link set lo up') == 0 or die "lo: $?";
system("ip addr add $_/32 dev lo") == 0 or die "$_: $?" for @ADDRESSES;
system('ip -6 addr add fd00::1/128 dev lo'); # where there is IPv6

my $names = NameServer->start;
my $scene = Scene->new('network');
my $outside = Partner->start(host => '0.0.0.0');
my $port = $outside->port;

my %base;

sub server
{
	my ($name, $url, $options) = @_;
	$base{$name} = $url;
	$scene->sql("CREATE SERVER $name FOREIGN DATA WRAPPER workflow_http OPTIONS (url '$url', timeout '10 s', connect_timeout '5 s'" . ($options ? ", $options" : '') . ')');
	$scene->define($name, qq({"steps": [{"step": "call", "http": {"server": "$name", "url": "\${\$.url}"}, "save": {"reply": "\${\$reply}"}}]}));
}

sub reply
{
	my ($server, $path, $why) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($instance, $status) = $scene->run($server, { url => $base{$server} . $path });
	is($status, 'completed', $why) or note(explain($scene->incident($instance)));
	return $scene->data($instance)->{reply};
}

sub error
{
	my ($server, $path) = @_;
	my ($instance) = $scene->run($server, { url => $base{$server} . $path });
	return ($scene->incident($instance) // {})->{error} // {};
}

sub redirect { return '/redirect?to=' . encoded($_[0]) }
sub arrived { return scalar $outside->requests('/inside') }

# A new dispatcher, which remembers no name
sub forget_names { $scene->node->restart }

# ---- redirects ----

server('public', "http://93.184.216.34:$port", "follow_redirects 'on'");
is(reply('public', '/echo', 'a public address is reached')->{body}{headers}{host}, "93.184.216.34:$port", 'by whoever may reach no other');
is(reply('public', redirect("http://93.184.216.35:$port/echo"), 'a redirect to another one')->{body}{headers}{host}, "93.184.216.35:$port", 'is followed');
server('lenient', "http://93.184.216.34:$port/redirect", "follow_redirects 'on', allow_private 'true'");
server('neighbour', "http://10.1.2.3:$port", "allow_private 'true'");
my $open = $outside->stats->{connections};
for (
	[ '10.1.2.3', 'private' ], [ '127.0.0.1', 'loopback' ], [ '169.254.169.254', 'link-local' ], [ '[::ffff:10.1.2.3]', 'private' ], [ '0.0.0.0', 'unspecified' ],
	[ '167838211', 'private' ], [ '0x7f.1', 'loopback' ])
{
	my ($host, $class) = @$_;
	my $error = error('public', redirect("http://$host:$port/inside"));
	is($error->{code}, 'request', "a redirect to $host is refused");
	like($error->{message}, qr/^after 1 redirect: the address of the host is not public \($class\): only a server with allow_private/, 'with a reason');
	is($error->{attempt}, 1, 'at once');
}
is(arrived(), 0, 'nothing has come there');
my $first = reply('lenient', '?to=' . encoded("http://10.1.2.3:$port/inside"), 'a server with allow_private goes there');
is(arrived(), 1, 'and arrives');
is(reply('neighbour', '/inside', 'another one, too')->{status}, 200, 'on a connection that is kept');
is(error('public', redirect("http://10.1.2.3:$port/inside"))->{code}, 'request', 'which does not serve one that may not');
is(error('public', redirect("/redirect?to=" . encoded("http://10.1.2.3:$port/inside")))->{code}, 'request', 'nor after two redirects');
is(arrived(), 2, 'nothing more has come there');

# ---- names ----

$names->set('public.example' => ['93.184.216.34'], 'inside.example' => ['10.1.2.3'], 'inside6.example' => ['fd00::1'], 'metadata.example' => ['169.254.169.254']);
server('named', "http://public.example:$port", "follow_redirects 'on'");
is(reply('named', '/echo', 'a name')->{body}{headers}{host}, "public.example:$port", 'of a public address');
is(error('named', redirect("http://$_.example:$port/inside"))->{code}, 'request', "a redirect to the name of another: $_") for 'inside', 'metadata', 'inside6';
is(arrived(), 2, 'nothing has come there');

# ---- a name that changes ----

$names->set('changing.example' => ['93.184.216.34']);
server('changing', "http://changing.example:$port", "follow_redirects 'on', idle_timeout '1 s'");
is(reply('changing', '/echo', 'a name is public at first')->{status}, 200, 'and reached');
is($names->asked('changing.example'), 1, 'it was asked for');
$names->set('changing.example' => ['10.1.2.3']);
forget_names();
my $error = error('changing', '/inside');
is($error->{code}, 'request', 'then it is the name of a private address, to which no connection is made');
like($error->{message}, qr/not public \(private\)/, 'with a reason');
is($names->asked('changing.example'), 2, 'it was asked for again');
$names->set('public.example' => ['93.184.216.34'], 'changing.example' => ['127.0.0.1']);
forget_names();
is(error('named', redirect("http://changing.example:$port/inside"))->{code}, 'request', 'nor after a redirect');
$names->set('changing.example' => [ '93.184.216.99', '10.1.2.3' ]);
forget_names();
like(error('changing', '/inside')->{code}, qr/^(?:request|connect)$/, 'of two addresses the private one is not taken instead of a public one that is not there');
$names->set('changing.example' => [ '10.1.2.3', '93.184.216.34' ]);
forget_names();
is(reply('changing', '/echo', 'but the public one instead of a private one')->{status}, 200, 'is') ;
is(arrived(), 2, 'nothing has come to a private address');
$scene->sql("ALTER SERVER changing OPTIONS (ADD allow_private 'true')");
$names->set('changing.example' => ['10.1.2.3']);
forget_names();
is(reply('changing', '/inside', 'who may go there')->{status}, 200, 'is answered');
is(arrived(), 3, 'and has arrived');

$scene->node->stop;
done_testing();
