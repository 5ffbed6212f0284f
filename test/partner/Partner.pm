#
# Partner.pm
#		Starts and stops test/partner/partner for TAP tests, and reads its log.
#
# A Partner owns its process and a temporary directory; both are gone when it goes out of scope.
#
#   my $partner = Partner->start(psql => $node->connstr('postgres'));
#   $partner->url('/accept')       "http://127.0.0.1:<port>/accept"
#   $partner->requests('/accept')  what came so far, as hashes; the argument (a string that the path begins with, or a
#                                  regular expression) is optional
#   $partner->callbacks            likewise, the callbacks it made
#   $partner->wait_for($n, ...)    the same as requests(...), once there are $n; dies after 60 s
#   $partner->stats                its counts
#   $partner->let_go($instance)    answer its requests to /held, of which there must be one
#   $partner->stop; $partner->restart;      on the same port, with the same log
#
package Partner;

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use File::Temp ();
use HTTP::Tiny;
use JSON::PP ();
use POSIX ();
use Time::HiRes qw(sleep time);

my $program = File::Spec->catfile(dirname(File::Spec->rel2abs(__FILE__)), 'partner');

sub start
{
	my ($class, %option) = @_;
	my $self = bless { dir => File::Temp->newdir, host => $option{host}, port => $option{port} // 0, psql => $option{psql}, owner => $$,
		read => 0, entries => [] }, $class;
	$self->{log} = $option{log} // "$self->{dir}/log";
	$self->_launch;
	return $self;
}

sub _launch
{
	my ($self) = @_;
	my $port_file = "$self->{dir}/port";
	my @command = ($^X, $program, '--port', $self->{port}, '--port-file', $port_file, '--log', $self->{log}, '--with-parent');
	push @command, '--psql', $self->{psql} if defined $self->{psql};
	push @command, '--host', $self->{host} if defined $self->{host};

	unlink $port_file;
	my $pid = fork() // die "could not fork: $!";
	if ($pid == 0)
	{
		# a test's output is TAP
		open(STDOUT, '>&', \*STDERR);
		exec(@command) or POSIX::_exit(127);
	}
	$self->{pid} = $pid;

	my $end = time() + 30;
	until (-e $port_file)
	{
		die "the partner has ended\n" if waitpid($pid, POSIX::WNOHANG()) == $pid;
		die "the partner does not start\n" if time() > $end;
		sleep 0.01;
	}
	open(my $file, '<', $port_file) or die "$port_file: $!";
	chomp($self->{port} = <$file>);
}

sub port { $_[0]{port} }

sub url { "http://127.0.0.1:$_[0]{port}" . ($_[1] // '') }

sub log_file { $_[0]{log} }

# With a signal other than TERM, it is that one.
sub stop
{
	my ($self, $signal) = @_;
	return unless $self->{pid};
	kill $signal // 'TERM', $self->{pid};
	local $?;
	waitpid($self->{pid}, 0);
	$self->{pid} = undef;
}

sub restart
{
	my ($self) = @_;
	$self->stop;
	$self->_launch;
}

# Only what has come since the last time is read: tests poll for it.
sub _log
{
	my ($self) = @_;
	open(my $file, '<:raw', $self->{log}) or return;
	seek($file, $self->{read}, 0);
	while (my $line = <$file>)
	{
		# the last one may be under way
		last unless $line =~ /\n\z/;
		push @{ $self->{entries} }, JSON::PP::decode_json($line);
		$self->{read} += length $line;
	}
	return @{ $self->{entries} };
}

sub requests
{
	my ($self, $filter) = @_;
	my @requests = grep { exists $_->{method} } $self->_log;
	return @requests unless defined $filter;
	return grep { $_->{path} =~ $filter } @requests if ref $filter eq 'Regexp';
	return grep { index($_->{path}, $filter) == 0 } @requests;
}

sub callbacks
{
	my ($self) = @_;
	return grep { exists $_->{callback} } $self->_log;
}

sub wait_for
{
	my ($self, $n, $filter) = @_;
	my $end = time() + 60;
	my @requests;
	while ((@requests = $self->requests($filter)) < $n)
	{
		die "the partner got " . @requests . " requests, not $n\n" if time() > $end;
		sleep 0.02;
	}
	return @requests;
}

sub _ask
{
	my ($self, $path) = @_;
	my $response = HTTP::Tiny->new(timeout => 60)->get($self->url($path));
	die "no answer from the partner: $response->{status}\n" unless $response->{success};
	return JSON::PP::decode_json($response->{content});
}

sub stats { return $_[0]->_ask('/stats') }

sub let_go
{
	my ($self, $instance) = @_;
	$self->_ask("/let-go/$instance")->{held} > 0 or die "no request of instance $instance is held\n";
}

sub DESTROY
{
	my ($self) = @_;
	$self->stop if $self->{owner} == $$;
}

1;
