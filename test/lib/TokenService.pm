#
# TokenService.pm
#		A token service of OAuth 2.0, and a service that asks for its tokens.
#
#   my $service = TokenService->start
#   $service->url('/token')        where tokens are asked for; '/api…' wants one of them that is not revoked, and answers 401 without
#   $service->set(delay => 1)      what it does from now on; other keys:
#     expires_in, type, token (text instead of token-N), length (of the token), rotate (1: each refresh token is good for once),
#     answer ("STATUS BODY" instead of a token), location, retry_after, repeat (how often the body is said), hang (1), hold (1: until something else is set), revoke (N: up to token-N)
#   $service->requests('/token')   what came so far: {path, headers, body, form, time}
#   $service->stop, $service->restart
#
# Each connection is served by a process of its own, for one request.
#
package TokenService;

use strict;
use warnings;

use parent 'Forked';

use Fcntl qw(:flock SEEK_SET);
use File::Temp ();
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Time::HiRes qw(sleep time);

my $json = JSON::PP->new->canonical;

sub start
{
	my ($class) = @_;
	my $self = bless { dir => File::Temp->newdir, owner => $$, port => 0, read => 0, entries => [] }, $class;
	$self->_write('state', { tokens => 0, refresh => undef });
	$self->set;
	$self->restart;
	return $self;
}

sub url { "http://127.0.0.1:$_[0]{port}" . ($_[1] // '') }

# Instead of what was set before.
sub set
{
	my ($self, %does) = @_;
	$self->_write('does', \%does);
	return;
}

sub _write
{
	my ($self, $name, $value) = @_;
	open(my $file, '>', "$self->{dir}/$name.$$") or die "$name: $!";
	print $file $json->encode($value);
	close $file;
	rename("$self->{dir}/$name.$$", "$self->{dir}/$name");
	return;
}

sub _read
{
	my ($self, $name) = @_;
	open(my $file, '<', "$self->{dir}/$name") or die "$name: $!";
	local $/;
	return $json->decode(<$file>);
}

# Change the state while nobody else does.
sub _change
{
	my ($self, $code) = @_;
	open(my $lock, '>', "$self->{dir}/lock") or die "lock: $!";
	flock($lock, LOCK_EX);
	my $state = $self->_read('state');
	my @result = $code->($state);
	$self->_write('state', $state);
	return @result;
}

# The refresh token that it takes, if it takes but one.
sub takes
{
	my ($self, $refresh) = @_;
	$self->_change(sub { $_[0]{refresh} = $refresh });
	return;
}

sub refresh_token { $_[0]->_read('state')->{refresh} }
sub tokens { $_[0]->_read('state')->{tokens} }

# Only what has come since the last time is read.
sub requests
{
	my ($self, $path) = @_;
	open(my $file, '<:raw', "$self->{dir}/log") or return;
	seek($file, $self->{read}, SEEK_SET);
	while (my $line = <$file>)
	{
		# the last one may be under way
		last unless $line =~ /\n\z/;
		push @{ $self->{entries} }, $json->decode($line);
		$self->{read} += length $line;
	}
	return grep { index($_->{path}, $path) == 0 } @{ $self->{entries} };
}

sub _unescape
{
	my ($text) = @_;
	$text =~ tr/+/ /;
	$text =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
	return $text;
}

sub _serve
{
	my ($self, $connection) = @_;
	my ($in, $end) = ('', -1);
	while (($end = index($in, "\r\n\r\n")) < 0)
	{
		sysread($connection, $in, 65536, length $in) or return;
	}
	my ($first, @lines) = split /\r\n/, substr($in, 0, $end);
	my %headers = map { /^([^:]+):\s*(.*)$/ ? (lc $1, $2) : () } @lines;
	while (length $in < $end + 4 + ($headers{'content-length'} // 0))
	{
		sysread($connection, $in, 65536, length $in) or return;
	}
	my $body = substr($in, $end + 4);
	my (undef, $path) = split / /, $first;
	my %form = map { my ($k, $v) = split /=/, $_, 2; (_unescape($k), _unescape($v // '')) } split /&/, $body;
	my $does = $self->_read('does');
	open(my $log, '>>', "$self->{dir}/log") or die "log: $!";
	syswrite($log, $json->encode({ path => $path, headers => \%headers, body => $body, form => \%form, time => time() }) . "\n");
	my $said = $path =~ m{^/token} ? $self->_token($does, \%form) : $self->_api($does, \%headers);
	$connection->autoflush(1);
	print $connection $said;
	shutdown($connection, 1);
	sysread($connection, $in, 1);
	return;
}

sub _say
{
	my ($status, $body, @headers) = @_;
	return join("\r\n", "HTTP/1.1 $status Said", 'Content-Type: application/json', 'Connection: close', 'Content-Length: ' . length $body, @headers, '', $body);
}

sub _api
{
	my ($self, $does, $headers) = @_;
	my ($n) = ($headers->{authorization} // '') =~ /^Bearer token-(\d+)/;
	sleep $does->{api_delay} if $does->{api_delay};
	return _say(401, '{"error": "who are you?"}') if !defined $n || $n <= ($does->{revoke} // 0);
	return _say(200, $json->encode({ token => $n }));
}

sub _token
{
	my ($self, $does, $form) = @_;
	while ($does->{hold})
	{
		sleep 0.02;
		$does = $self->_read('does');
	}
	sleep $does->{delay} if $does->{delay};
	sleep 60 if $does->{hang};
	if (defined $does->{answer})
	{
		my ($status, $body) = split / /, $does->{answer}, 2;
		return _say($status, $body x ($does->{repeat} // 1), $does->{location} ? "Location: $does->{location}" : (),
			defined $does->{retry_after} ? "Retry-After: $does->{retry_after}" : ());
	}
	my ($n, $refresh) = $self->_change(sub {
		my ($state) = @_;
		return if $does->{rotate} && ($form->{refresh_token} // '') ne ($state->{refresh} // '');
		$state->{tokens}++;
		$state->{refresh} = "refresh-secret-$state->{tokens}" if $does->{rotate};
		return ($state->{tokens}, $does->{rotate} ? $state->{refresh} : undef);
	});
	return _say(400, '{"error": "invalid_grant", "error_description": "not refresh-secret-x"}') unless defined $n;
	my $token = $does->{token} // "token-$n-secret";
	$token .= 'x' x ($does->{length} - length $token) if $does->{length};
	my %answer = (access_token => $token, token_type => $does->{type} // 'Bearer');
	$answer{expires_in} = $does->{expires_in} if defined $does->{expires_in};
	$answer{refresh_token} = $refresh if defined $refresh;
	return _say(200, $json->encode(\%answer));
}

1;
