#
# Simulator/Later.pm
#		Calls that were stored, with mode => 'async': when they are carried out, and what they answer then.
#
#   $sim->call_later($in_order, $targets, $event)     as Worlds::happens takes targets and event; $in_order: it is about the instance
#   $sim->calls        what has become of them: "1=true 2=pending", by the order in which they were called
#
# Those about the instance, and messages to it, are carried out one after the other, other messages and signals in no order. Whatever is called at once may come before.
#
package Simulator;

use strict;
use warnings;

sub call_later
{
	my ($self, $in_order, $targets, $event) = @_;
	my $call = { number => ++$self->{called}, in_order => $in_order, targets => $targets, event => $event };
	$self->{later} = [ @{ $self->{later} // [] }, $call ];
	return '#';
}

sub moves_of_calls
{
	my ($self) = @_;
	my ($first) = grep { $_->{in_order} } @{ $self->{later} // [] };
	my @free = grep { !$_->{in_order} } @{ $self->{later} // [] };
	return map { my $call = $_; map { [ undef, 'carry_out', $call->{number}, $_ ] } $call->{targets}->($self) } ($first // ()), @free;
}

sub carry_out
{
	my ($self, $number, $target) = @_;
	my ($call) = grep { $_->{number} == $number } @{ $self->{later} };
	$self->{later} = [ grep { $_ != $call } @{ $self->{later} } ];
	my $answer = $call->{event}->($self, defined $target ? $self->{visits}[$target] : undef, $target);
	$self->{carried_out} = { %{ $self->{carried_out} // {} }, $number => $answer };
}

sub calls
{
	my ($self) = @_;
	return join(' ', map { "$_=" . ($self->{carried_out}{$_} // 'pending') } 1 .. $self->{called} // 0);
}

# For which visit, where that is settled by the call.
sub key_of_calls
{
	my ($self, $names) = @_;
	return join(' ', $self->calls, map { "$_->{number} " . join(' ', map { defined $_ ? $names->[$_] // '' : '' } $_->{targets}->($self)) } @{ $self->{later} // [] });
}

1;
