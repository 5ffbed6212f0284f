#
# Outside.pm
#		An outside system whose requests stand until somebody answers them.
#
#   my $outside = Outside->new;  $outside->port
#   $outside->listen($seconds)                  takes what has come meanwhile
#   $outside->is_open($sn, $kind)               action or cancel: the last part of the path
#   $outside->answer($sn, $kind, $status, $body)
#   $outside->token($sn)                        of the callback URL in its request
#
package Outside;

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use JSON::PP ();

my $json = JSON::PP->new->canonical;

sub new
{
	my ($class) = @_;
	my $listener = IO::Socket::INET->new(Listen => 128, LocalAddr => '127.0.0.1') or die "listen: $!";
	return bless { listener => $listener, select => IO::Select->new($listener), held => {}, of_socket => {}, tokens => {} }, $class;
}

sub port { return $_[0]{listener}->sockport }
sub token { return $_[0]{tokens}{ $_[1] } }
sub is_open { my ($self, $sn, $kind) = @_; return $self->{held}{$sn} && defined $self->{held}{$sn}{$kind} }

sub forget
{
	my ($self, $socket) = @_;
	my $request = delete $self->{of_socket}{$socket};
	my $held = $request->{sn} ? $self->{held}{ $request->{sn} } : {};
	delete $held->{ $request->{kind} } if $request->{kind} && ($held->{ $request->{kind} } // 0) == $socket;
	$self->{select}->remove($socket);
	close($socket);
}

sub read_request
{
	my ($self, $socket) = @_;
	my $request = $self->{of_socket}{$socket};
	return $self->forget($socket) unless sysread($socket, my $bytes, 65536);
	$request->{text} .= $bytes;
	my ($head, $text) = $request->{text} =~ /^(.*?)\r\n\r\n(.*)$/s or return;
	return if length($text) < ($head =~ /content-length: *(\d+)/i)[0];
	my $body = $json->decode($text);
	@$request{qw(kind sn)} = ($head =~ m{^POST /(\w+)}, $body->{sn});
	$self->{held}{ $body->{sn} }{ $request->{kind} } = $socket;
	($self->{tokens}{ $body->{sn} }) = $body->{url} =~ m{([^/]+)$} if $body->{url};
}

sub listen
{
	my ($self, $seconds) = @_;
	while (my @ready = $self->{select}->can_read($seconds))
	{
		$seconds = 0;
		for my $socket (@ready)
		{
			if ($socket != $self->{listener}) { $self->read_request($socket); next }
			my $new = $self->{listener}->accept or next;
			$self->{of_socket}{$new} = { text => '' };
			$self->{select}->add($new);
		}
	}
}

sub answer
{
	my ($self, $sn, $kind, $status, $body) = @_;
	my $socket = $self->{held}{$sn}{$kind};
	my $text = $json->encode($body);
	local $SIG{PIPE} = 'IGNORE'; # it may have hung up
	print $socket "HTTP/1.1 $status So be it\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: " . length($text) . "\r\n\r\n$text";
	$socket->flush;
	$self->forget($socket);
}

1;
