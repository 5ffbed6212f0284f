#
# Senders.pm
#		Messages, signals and changes of data that somebody may send to an instance that is played, for Events.pm.
#
#   Senders::choices($case, $sim, $again)     as closures; $again: amid what the event before has set going
#
# Names are of this process alone: $case->{names}.
#
package Senders;

use strict;
use warnings;

use Events;
use JSON::PP ();
use Simulator;
use StepMaker qw(chance pick $NEVER $SHORT);

my $json = JSON::PP->new->canonical->allow_nonref;

# Whoever is busy with an instance is not waited for.
sub is_busy
{
	my ($case, $sim, $again) = @_;
	return $again || $case->{attached} || $sim->moves || grep { $_->{asked} && !$_->{sent} } $sim->living;
}

# To one that waits for it, or to whom it may concern.
sub send_message
{
	my ($case, $again, $one) = @_;
	my $message = { name => $one ? $one->{name} : pick(@{ $case->{names}{messages} }), key => $one && chance(0.85) ? $one->{key} : pick(undef, 0 .. 2) };
	$message->{data} = Events::body() if chance(0.8);
	$message->{ttl} = pick($NEVER, $NEVER, $SHORT) if chance($one ? 0.25 : 0.65);
	$message->{message_id} = pick('i1', 'i2') if chance(0.15);
	if (chance(0.2))
	{
		$message->{instance} = $case->{instance};
		$message->{key} = undef if chance(0.5);
	}
	$message->{to_all} = 'true' if chance(0.15);
	my @arguments = ("'$message->{name}'", map { "$_ => '" . ($_ eq 'data' ? $json->encode($message->{data}) : $message->{$_}) . q['] } grep { defined $message->{$_} } qw(key data ttl message_id instance to_all));
	Events::call_perhaps_later($case, 'workflow.send_message(' . join(', ', @arguments) . ')', sub { return is_busy($case, $_[0], $again) ? (0, 1) : 0 },
		sub { my ($sim, undef, $later) = @_; return $sim->send_message($message, $later) }, free => !defined $message->{instance}, targets => sub { return (0, 1) });
}

sub send_signal
{
	my ($case, $name) = @_;
	my $data = chance(0.8) ? Events::body() : undef;
	Events::call_perhaps_later($case, "workflow.send_signal('$name'" . ($data ? ', ' . Events::quoted($data) : '') . ')', \&Events::nothing_special, sub { return $_[0]->send_signal($name, $data) }, free => 1);
}

sub set_data
{
	my ($case) = @_;
	my $data = { c => int(rand(3)) };
	Events::call_perhaps_later($case, "workflow.set_data($case->{instance}, " . Events::quoted($data) . ')', \&Events::nothing_special, sub { return $_[0]->set_data($data) });
}

sub choices
{
	my ($case, $sim, $again) = @_;
	my @choices;
	return unless $sim->living;
	for my $one ($sim->subscriptions)
	{
		my $to = $one->{kind} eq 'message' ? sub { send_message($case, $again, $one) } : $one->{kind} eq 'signal' ? sub { send_signal($case, $one->{name}) } : sub { set_data($case) };
		push @choices, ($to) x ($one->{role} eq 'wait' ? 4 : 3);
	}
	push @choices, pick(sub { send_message($case, $again) }, sub { send_message($case, $again) }, sub { send_signal($case, pick(@{ $case->{names}{signals} })) }, sub { set_data($case) })
	  if chance(@choices ? 0.4 : 0.1);
	return @choices;
}

1;
