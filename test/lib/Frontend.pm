#
# Frontend.pm
#		What stands between outside systems and a database: a proxy and PostgREST in one, as docs/webhooks.md sets them up.
#
# POST /workflow/(callback|heartbeat|start)/<token> calls workflow_api.webhook_… as the role web_anon, with the bytes that came and the setting
# request.headers; the answer is the status that PostgREST makes of it, as the page has them in a table. A process for each connection.
#
#   my $frontend = Frontend->new;                 it has its port from now on
#   $frontend->url                                what workflow.callback_base is to be
#   $frontend->serve($node, 'postgres')           once the database is there; ends with the object
#   my $status = $frontend->post("start/$token", $body, { 'X-Signature' => … })      a header with a list is sent several times
#
package Frontend;

use strict;
use warnings;

use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Session;

# others are 500
my %STATUS = ('22' => 400, '28' => 403, '42' => 403, '53' => 503);

sub new
{
	my ($class) = @_;
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 64, ReuseAddr => 1) or die "no socket: $!\n";
	return bless { socket => $socket, owner => $$ }, $class;
}

sub url { return 'http://127.0.0.1:' . $_[0]{socket}->sockport . '/workflow' }

sub serve
{
	my ($self, $node, $database) = @_;
	$self->{pid} = fork() // die "could not fork: $!";
	return $self if $self->{pid} != 0;
	$SIG{CHLD} = 'IGNORE';
	$SIG{TERM} = sub { POSIX::_exit(0) };
	while (1)
	{
		my $connection = $self->{socket}->accept or next;
		if (fork() == 0)
		{
			my $status = eval { answer($connection, $node, $database) } // 500;
			print $connection "HTTP/1.1 $status Answered\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
			POSIX::_exit(0);
		}
		close $connection;
	}
}

sub answer
{
	my ($connection, $node, $database) = @_;
	my ($function, $token) = <$connection> =~ m{^POST /workflow/(callback|heartbeat|start)/([0-9]+(?:_[0-9]+)?\.[A-Za-z0-9_-]+) HTTP} or return 404;
	my %header = ('x-workflow-token' => $token);
	while ((my $line = <$connection>) =~ /^([^:\r\n]+):\s*(.*?)\r?\n/)
	{
		# PostgREST makes a map of them
		$header{ lc $1 } = $2 unless lc $1 eq 'x-workflow-token';
	}
	my $body = '';
	read($connection, $body, $header{'content-length'} // 0);
	my $headers = JSON::PP->new->latin1->encode(\%header) =~ s/'/''/gr;
	my $session = Session->new($node, $database, verbose => 1);
	my ($status, $out, $err) = $session->run(
		'BEGIN', 'SET LOCAL ROLE web_anon',
		"SET LOCAL request.headers = '$headers'", "SELECT workflow_api.webhook_$function('\\x" . unpack('H*', $body) . "')",
		q[SELECT 'status ' || coalesce(nullif(current_setting('response.status', true), ''), '204')], 'COMMIT');
	return $STATUS{ $err =~ /ERROR:\s+(\w\w)\w{3}/ ? $1 : '' } // 500 if $status != 0;
	return $out =~ /status (\d+)/ ? $1 : 500;
}

sub post
{
	my ($self, $path, $body, $headers) = @_;
	my $response = HTTP::Tiny->new(timeout => 60)->post($self->url . "/$path", { content => $body, headers => $headers // {} });
	return $response->{status};
}

sub stop
{
	my ($self) = @_;
	return unless $self->{pid} && $self->{owner} == $$;
	kill 'TERM', $self->{pid};
	local $?;
	waitpid($self->{pid}, 0);
	$self->{pid} = undef;
}

sub DESTROY { $_[0]->stop }

1;
