#
# Proxy.pm
#		A proxy: for http it hands requests on, for https it makes tunnels (CONNECT), and it speaks SOCKS 5.
#
#   my $proxy = Proxy->start(names => { 'service.example' => '127.0.0.1' })   what it alone can resolve
#   $proxy->url, $proxy->socks_url    for the option `proxy`
#   $proxy->set(user => 'u', password => 'p')    what it does from now on; other keys:
#     answer ("503", instead of handing on), socks (a reply code, instead of connecting), hang (1), drop (1)
#   $proxy->seen      what came so far: {kind (forward, connect, socks), target, head, user, connection}
#   $proxy->stop, $proxy->restart
#
# Each connection is served by a process of its own.
#
package Proxy;

use strict;
use warnings;

use parent 'Forked';

use File::Temp ();
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use MIME::Base64 qw(decode_base64);
use POSIX ();
use Time::HiRes qw(sleep);

my $json = JSON::PP->new->latin1->canonical;

sub start
{
	my ($class, %option) = @_;
	my $self = bless { dir => File::Temp->newdir, owner => $$, port => 0, names => $option{names} // {} }, $class;
	$self->set;
	$self->restart;
	return $self;
}

sub url { "http://127.0.0.1:$_[0]{port}" }
sub socks_url { "socks5h://127.0.0.1:$_[0]{port}" }

# Instead of what was set before.
sub set
{
	my ($self, %does) = @_;
	open(my $file, '>', "$self->{dir}/does.new") or die "does: $!";
	print $file $json->encode(\%does);
	close $file;
	rename("$self->{dir}/does.new", "$self->{dir}/does");
	return;
}

sub _does
{
	my ($self) = @_;
	open(my $file, '<', "$self->{dir}/does") or die "does: $!";
	local $/;
	return $json->decode(<$file>);
}

sub seen
{
	my ($self) = @_;
	open(my $file, '<', "$self->{dir}/log") or return;
	return map { $json->decode($_) } grep { /\n\z/ } <$file>;
}

sub _note
{
	my ($self, %what) = @_;
	open(my $log, '>>', "$self->{dir}/log") or die "log: $!";
	syswrite($log, $json->encode({ %what, connection => $self->{connection} }) . "\n");
	return;
}

# ---- one connection ----

sub _read
{
	my ($client, $in, $n) = @_;
	while (length $$in < $n)
	{
		sysread($client, $$in, 65536, length $$in) or die "end\n";
	}
	return substr($$in, 0, $n, '');
}

sub _connect
{
	my ($self, $host, $port) = @_;
	return IO::Socket::INET->new(PeerAddr => $self->{names}{$host} // $host, PeerPort => $port, Timeout => 10);
}

# Bytes in both directions, until one side ends.
sub _pump
{
	my ($client, $service) = @_;
	my %other = (fileno($client) => $service, fileno($service) => $client);
	my $select = IO::Select->new($client, $service);
	while (1)
	{
		for my $from ($select->can_read)
		{
			sysread($from, my $bytes, 65536) or return;
			my $to = $other{ fileno $from };
			while (length $bytes)
			{
				my $n = syswrite($to, $bytes) // return;
				substr($bytes, 0, $n, '');
			}
		}
	}
}

sub _serve
{
	my ($self, $client) = @_;
	my $in = '';
	$client->autoflush(1);
	sysread($client, $in, 65536) or return;
	my $does = $self->_does;
	return if $does->{drop};
	sleep 120 if $does->{hang};
	return $self->_socks($client, $in, $does) if ord($in) == 5;
	1 while $self->_http($client, \$in);
	return;
}

# One request; true if another one may follow on the connection.
sub _http
{
	my ($self, $client, $in) = @_;
	while ($$in !~ /\r\n\r\n/)
	{
		sysread($client, $$in, 65536, length $$in) or return 0;
	}
	my $does = $self->_does;
	my $head = substr($$in, 0, index($$in, "\r\n\r\n") + 4, '');
	my ($method, $target) = split / /, $head;
	my ($given) = $head =~ /^Proxy-Authorization: Basic (\S+)/mi;
	$given = defined $given ? decode_base64($given) : '';
	my $wanted = defined $does->{user} ? "$does->{user}:$does->{password}" : undef;
	$self->_note(kind => $method eq 'CONNECT' ? 'connect' : 'forward', target => $target, head => $head, user => $given);
	my ($length) = $head =~ /^Content-Length: (\d+)/mi;
	my $body = _read($client, $in, $length // 0);
	my $status = defined $wanted && $given ne $wanted ? 407 : $does->{answer};
	my ($host, $port) = $target =~ ($method eq 'CONNECT' ? qr/^(.*):(\d+)$/ : qr{^http://([^/:]+)(?::(\d+))?});
	my $service = $status ? undef : $self->_connect($host, $port // 80);
	$status //= 502 unless $service;
	if ($status)
	{
		print $client "HTTP/1.1 $status Refused\r\nProxy-Authenticate: Basic realm=\"proxy\"\r\nContent-Length: 7\r\nConnection: close\r\n\r\nrefused";
		return 0;
	}
	if ($method eq 'CONNECT')
	{
		print $client "HTTP/1.1 200 Connection established\r\nX-Proxy: hidden\r\n\r\n";
		_pump($client, $service);
		return 0;
	}
	$head =~ s{^(\S+) http://[^/ ]+}{$1 };
	$head =~ s/^Proxy-[^\r\n]*\r\n//mgi;
	$head =~ s/\r\n\r\n\z/\r\nConnection: close\r\n\r\n/;
	syswrite($service, $head . $body);
	while (sysread($service, my $bytes, 65536))
	{
		print $client $bytes;
	}
	return 0;
}

sub _socks
{
	my ($self, $client, $in, $does) = @_;
	my (undef, $n) = unpack 'CC', _read($client, \$in, 2);
	my @methods = unpack 'C*', _read($client, \$in, $n);
	my $user = '';
	my $wanted = defined $does->{user} ? "$does->{user}:$does->{password}" : undef;
	my $method = defined $wanted ? 2 : 0;
	$method = 255 unless grep { $_ == $method } @methods;
	syswrite($client, pack 'CC', 5, $method);
	if ($method == 255)
	{
		$self->_note(kind => 'socks', target => '', user => '');
		sysread($client, $in, 1);
		return;
	}
	if ($method == 2)
	{
		$user = _read($client, \$in, unpack 'xC', _read($client, \$in, 2));
		$user .= ':' . _read($client, \$in, unpack 'C', _read($client, \$in, 1));
		syswrite($client, pack 'CC', 1, $user eq $wanted ? 0 : 1);
		if ($user ne $wanted)
		{
			$self->_note(kind => 'socks', target => '', user => $user);
			return;
		}
	}
	my (undef, undef, undef, $type) = unpack 'CCCC', _read($client, \$in, 4);
	my $host = $type == 3 ? _read($client, \$in, unpack 'C', _read($client, \$in, 1)) : join '.', unpack 'C4', _read($client, \$in, 4);
	my $port = unpack 'n', _read($client, \$in, 2);
	$self->_note(kind => 'socks', target => "$host:$port", user => $user);
	my $reply = $does->{socks};
	my $service = $reply ? undef : $self->_connect($host, $port);
	$reply //= $service ? 0 : 5;
	syswrite($client, pack 'CCCCNn', 5, $reply, 0, 1, 0, 0);
	_pump($client, $service) if $service;
	return;
}

1;
