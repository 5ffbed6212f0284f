#
# Session.pm
#		A connection that speaks the protocol of PostgreSQL itself. Tests ask thousands of questions and poll for what must come about; a psql
#		for each of them would take most of the time of the machine.
#
#   my $session = Session->new($node, 'postgres')   dies of what the server says
#   my ($status, $stdout, $stderr) = $session->run(@statements)     as psql -XAtq -v ON_ERROR_STOP=1 has them
#   $session->tell($statement); … $session->hear            the same for one, in two parts: it may have to wait for others meanwhile
#   my @statements = Session::statements($script)   those of a script that needs no psql; none if it does
#
# What a session that goes out of scope has left behind at the server is gone, too.
#
package Session;

use strict;
use warnings;

use Errno qw(EINTR);
use IO::Socket::UNIX;
use Socket qw(SOCK_STREAM);
use Time::HiRes qw(time);

# Options: timeout => seconds, for all that it does; verbose => 1: messages have their SQLSTATE and where they come from.
sub new
{
	my ($class, $node, $database, %option) = @_;
	my $path = $node->host . '/.s.PGSQL.' . $node->port;
	my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $path)
	  or die "psql: error: connection to server on socket \"$path\" failed: $!\n"
	  . "\tIs the server running locally and accepting connections on that socket?\n";
	my $self = bless { socket => $socket, buffer => '', end => $option{timeout} ? time() + $option{timeout} : undef,
		verbose => $option{verbose}, owner => $$ }, $class;
	my %start = (
		user => $ENV{PGUSER} // scalar(getpwuid($>)),
		database => $database,
		application_name => $ENV{PGAPPNAME} // 'psql',
		defined $ENV{PGOPTIONS} ? (options => $ENV{PGOPTIONS}) : ());
	my $packet = pack('N', 196608) . join('', map { "$_\0$start{$_}\0" } sort keys %start) . "\0";
	$self->_write(pack('N', length($packet) + 4) . $packet);
	my ($status, undef, $stderr) = $self->_results;
	die "psql: error: connection to server on socket \"$path\" failed: $stderr" if $status;
	return $self;
}

# Each on its own, one after the other, up to the first that fails.
sub run
{
	my ($self, @statements) = @_;
	my ($line, $out, $err) = (1, '', '');
	for my $statement (@statements)
	{
		$line += $statement =~ tr/\n//;
		$self->tell($statement);
		my ($status, $stdout, $stderr) = $self->_results("psql:<stdin>:$line: ", $statement);
		$out .= $stdout;
		$err .= $stderr;
		return ($status, $out, $err) if $status;
	}
	return (0, $out, $err);
}

sub tell
{
	my ($self, $statement) = @_;
	$self->_write('Q' . pack('N', length($statement) + 5) . "$statement\0");
}

sub hear { return $_[0]->_results('psql:<stdin>:1: ') }

# What is quoted, which may hold any character.
my $QUOTED = qr/'[^']*'|"[^"]*"|\$(?<tag>\w*)\$.*?\$\k<tag>\$/s;

# A script with commands of psql, variables, comments, strings of other kinds, or what else psql has to look after, is none for us.
sub statements
{
	my ($script) = @_;
	(my $bare = $script) =~ s/$QUOTED/''/g;
	return if $script =~ /[^\x01-\xff]/ || $bare =~ m{\\|--|/\*|\bE'|\b(?:COPY|LISTEN|RULE|ATOMIC)\b|(?<![:\w]):['\w]}i;
	return if $bare =~ /["\$]/ || $bare =~ tr/'// % 2;
	my @statements;
	no warnings 'regexp'; # one with very many strings is not read to its end
	push @statements, $1 while $script =~ /\G[\s;]*+((?:[^;'"\$]++|$QUOTED)++)(?:;|\z)/gc;
	return $script =~ /\G[\s;]*\z/ ? @statements : ();
}

# ---- the protocol ----

sub _write
{
	my ($self, $bytes) = @_;
	local $SIG{PIPE} = 'IGNORE';
	while ($bytes ne '')
	{
		my $n = syswrite($self->{socket}, $bytes);
		next if !defined $n && $! == EINTR;
		return unless defined $n; # the end is to be read, and what comes before it
		substr($bytes, 0, $n, '');
	}
}

# So many bytes; undef at the end.
sub _read
{
	my ($self, $length) = @_;
	while (length $self->{buffer} < $length)
	{
		if (defined $self->{end})
		{
			my $rest = $self->{end} - time();
			my $set = '';
			vec($set, fileno $self->{socket}, 1) = 1;
			die "psql timed out\n" if $rest <= 0 || !select($set, undef, undef, $rest);
		}
		my $n = sysread($self->{socket}, $self->{buffer}, 65536, length $self->{buffer});
		next if !defined $n && $! == EINTR;
		return undef unless $n;
	}
	return substr($self->{buffer}, 0, $length, '');
}

# All messages up to where the server is ready for the next statement: status, rows, errors and notices.
sub _results
{
	my ($self, $prefix, $statement) = @_;
	my ($status, $failed, $out, $err) = (0, $prefix ? 3 : 2, '', '');
	while (1)
	{
		my $head = $self->_read(5);
		my ($type, $length) = defined $head ? unpack('a N', $head) : ();
		my $body = defined $head ? $self->_read($length - 4) : undef;
		if (!defined $body)
		{
			$self->{gone} = 1;
			$err .= "server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally\n"
			  . "\tbefore or while processing the request.\n" . ($prefix ? "connection to server was lost\n" : '') unless $status == 2 && !$prefix;
			return (2, $out, $err);
		}
		if ($type eq 'D') { $out .= _row($body) }
		elsif ($type eq 'E' || $type eq 'N')
		{
			my %field = map { substr($_, 0, 1) => substr($_, 1) } split /\0/, $body;
			$err .= ($prefix // '') . $self->_message(\%field, $type eq 'E', $statement);
			$status = $failed if $type eq 'E';
		}
		elsif ($type eq 'R')  { die "no password is known here\n" if unpack('N', $body) != 0 }
		elsif ($type =~ /[GHW]/) { die "no COPY here\n" }
		elsif ($type eq 'Z')  { return ($status, $out, $err) }
	}
}

# As it is printed: null is nothing.
sub _row
{
	my ($body) = @_;
	my @values;
	my $at = 2;
	for (1 .. unpack('n', $body))
	{
		my $length = unpack('l>', substr($body, $at, 4));
		push @values, $length < 0 ? '' : substr($body, $at + 4, $length);
		$at += 4 + ($length < 0 ? 0 : $length);
	}
	return join('|', @values) . "\n";
}

sub _message
{
	my ($self, $field, $is_error, $statement) = @_;
	my $text = "$field->{S}:  " . ($self->{verbose} ? "$field->{C}: " : '') . "$field->{M}\n";
	if (defined $field->{P} && defined $statement)
	{
		my $before = substr($statement, 0, $field->{P} - 1);
		my ($head, $tail) = ($before =~ /([^\n]*)\z/, substr($statement, $field->{P} - 1) =~ /^([^\n]*)/);
		my $line = 'LINE ' . (1 + $before =~ tr/\n//) . ': ';
		$text .= "$line$head$tail\n" . ' ' x length("$line$head") . "^\n";
	}
	$text .= "DETAIL:  $field->{D}\n" if defined $field->{D};
	$text .= "HINT:  $field->{H}\n" if defined $field->{H};
	$text .= "QUERY:  $field->{q}\n" if defined $field->{q};
	$text .= "CONTEXT:  $field->{W}\n" if defined $field->{W} && ($is_error || $self->{verbose});
	$text .= "LOCATION:  $field->{R}, $field->{F}:$field->{L}\n" if $self->{verbose} && defined $field->{R};
	return $text;
}

# When it is gone for us, it soon is for the server: its locks and its row in pg_stat_activity.
sub DESTROY
{
	my ($self) = @_;
	return unless $self->{socket} && $self->{owner} == $$;
	local ($@, $!, $?);
	unless ($self->{gone})
	{
		$self->_write("X\0\0\0\4");
		$self->{end} = time() + 1;
		eval { 1 while defined $self->_read(1) };
	}
	close $self->{socket};
}

1;
