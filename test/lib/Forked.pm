#
# Forked.pm
#		What partners of tests have in common that run in a process of their own, and serve each connection in another one.
#
# Whoever inherits has `owner`, the process that made it, and `port`, 0 at first; _serve($connection) serves one, whose number is in `connection`. One that
# makes its process itself has `pid` instead, and inherits how that ends.
#
package Forked;

use strict;
use warnings;

use IO::Socket::INET;
use POSIX ();
use Socket qw(SOMAXCONN);

# No connection is served for longer, in seconds.
my $LIMIT = 120;

# On the same port as before.
sub restart
{
	my ($self) = @_;
	$self->stop;
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $self->{port}, Listen => SOMAXCONN, ReuseAddr => 1)
	  or die ref($self) . ": $!\n";
	$self->{port} = $listener->sockport;
	$self->{pid} = fork() // die "could not fork: $!";
	return if $self->{pid};
	$SIG{CHLD} = 'IGNORE';
	my $parent = getppid();
	my $n = 0;
	while (getppid() == $parent)
	{
		my $connection = $listener->accept or next;
		$n++;
		my $pid = fork() // POSIX::_exit(1);
		if ($pid == 0)
		{
			close $listener;
			alarm $LIMIT;
			$self->{connection} = $n;
			eval { $self->_serve($connection) };
			POSIX::_exit(0);
		}
		close $connection;
	}
	POSIX::_exit(0);
}

sub stop
{
	my ($self) = @_;
	return unless $self->{pid};
	local $?;
	kill 'KILL', $self->{pid};
	waitpid($self->{pid}, 0);
	$self->{pid} = undef;
	return;
}

sub DESTROY { $_[0]->stop if $_[0]{owner} == $$ }

1;
