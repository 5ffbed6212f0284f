#
# NameServer.pm
#		A name server whose answers can be changed, at port 53 of 127.0.0.1, which takes a network namespace of our own.
#
#   my $names = NameServer->start
#   $names->set('a.example' => ['192.0.2.1', '::1'], …)   what it answers from now on; other names do not exist
#   $names->asked('a.example')                            how often it was asked for addresses of that name
#   $names->stop
#
package NameServer;

use strict;
use warnings;

use parent 'Forked';

use File::Temp ();
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Socket qw(AF_INET6 inet_aton inet_pton);

my $json = JSON::PP->new->canonical;
my ($A, $AAAA) = (1, 28);

sub start
{
	my ($class) = @_;
	my $self = bless { dir => File::Temp->newdir, owner => $$ }, $class;
	$self->set;
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 53, Proto => 'udp') or die "name server: $!\n";
	$self->{pid} = fork() // die "could not fork: $!";
	return $self if $self->{pid};
	my $parent = getppid();
	while (getppid() == $parent)
	{
		my $peer = recv($socket, my $query, 512, 0) // next;
		my $answer = eval { $self->_answer($query) };
		send($socket, $answer, 0, $peer) if defined $answer;
	}
	POSIX::_exit(0);
}

sub set
{
	my ($self, %addresses) = @_;
	open(my $file, '>', "$self->{dir}/names.new") or die "names: $!";
	print $file $json->encode(\%addresses);
	close $file;
	rename("$self->{dir}/names.new", "$self->{dir}/names");
	return;
}

sub asked
{
	my ($self, $name) = @_;
	open(my $log, '<', "$self->{dir}/log") or return 0;
	return scalar grep { $_ eq "$name $A\n" } <$log>;
}

sub _answer
{
	my ($self, $query) = @_;
	my ($id) = unpack 'n', $query;
	my ($at, @labels) = (12);
	while (my $n = unpack "x$at C", $query)
	{
		push @labels, substr($query, $at + 1, $n);
		$at += $n + 1;
	}
	my $question = substr($query, 12, $at + 5 - 12);
	my ($type) = unpack 'n', substr($query, $at + 1, 2);
	my $name = lc join '.', @labels;
	open(my $log, '>>', "$self->{dir}/log") or die "log: $!";
	syswrite($log, "$name $type\n");
	open(my $file, '<', "$self->{dir}/names") or die "names: $!";
	local $/;
	my $addresses = $json->decode(<$file>)->{$name};
	my @records = map { /:/ ? [ $AAAA, inet_pton(AF_INET6, $_) ] : [ $A, inet_aton($_) ] } @{ $addresses // [] };
	my $answers = join '', map { pack('n n n N n', 0xc00c, $_->[0], 1, 0, length $_->[1]) . $_->[1] } grep { $_->[0] == $type } @records;
	my $n = grep { $_->[0] == $type } @records;
	return pack('n6', $id, 0x8580 | ($addresses ? 0 : 3), 1, $n, 0, 0) . $question . $answers;
}

1;
