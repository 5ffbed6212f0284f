#
# Simulator/Messages.pm
#		Messages and signals on their way: what is kept until somebody waits for it, and what is yet to be taken up by who does.
#
#   $sim->send_message({ name, key, data, ttl, message_id, instance, to_all }, $later)    as its answer; $later: somebody is busy
#   $sim->send_signal($name, { data })
#
package Simulator;

use strict;
use warnings;

# ---- who gets it ----

sub matches
{
	my ($message, $one) = @_;
	return 0 if $one->{kind} ne 'message' || $one->{name} ne $message->{name};
	return 1 if $message->{instance} && !defined $message->{key};
	return defined $one->{key} ? defined $message->{key} && $one->{key} eq $message->{key} : !defined $message->{key};
}

# A wait is offered one after the other, to a handler beside it as many as there are.
sub is_offered
{
	my ($self, $one) = @_;
	return $one->{role} ne 'beside' && grep { $_->{to} == $one->{number} } @{ $self->{posts} // [] };
}

sub receivers
{
	my ($self, $message) = @_;
	return grep { matches($message, $_) && !$self->is_offered($_) } $self->subscriptions;
}

sub event_of { my ($kind, $data) = @_; return { kind => $kind, $data ? (n => $data->{n}, ok => $data->{ok} ? 1 : 0) : () } }

# ---- sending ----

sub keep
{
	my ($self, $message) = @_;
	$message = { after => 0, order => ++$self->{numbers}, %$message };
	$self->{kept} = [ sort { $a->{order} <=> $b->{order} } @{ $self->{kept} // [] }, $message ];
}

sub post
{
	my ($self, $one, $message) = @_;
	$self->{posts} = [ @{ $self->{posts} // [] }, { %$message, to => $one->{number} } ];
}

sub remember
{
	my ($self, $message, $answer) = @_;
	my $id = $message->{message_id};
	$self->{sent} = { %{ $self->{sent} // {} }, "$message->{name} $id" => 1 } if defined $id && $answer ne 'missed';
	return $answer;
}

# Nobody has got it.
sub forget
{
	my ($self, $message) = @_;
	my %sent = %{ $self->{sent} // {} };
	delete $sent{"$message->{name} $message->{message_id}"} if defined $message->{message_id};
	$self->{sent} = \%sent;
}

sub is_known
{
	my ($self, $message) = @_;
	return defined $message->{message_id} && ($self->{sent} // {})->{"$message->{name} $message->{message_id}"};
}

# One that is kept for the same comes first.
sub is_behind_another
{
	my ($self, $message) = @_;
	my $same = sub { my ($it) = @_; return !grep { ($it->{$_} // ' ') ne ($message->{$_} // ' ') } qw(name key instance) };
	return scalar grep { $same->($_) } @{ $self->{kept} // [] };
}

sub send_message
{
	my ($self, $message, $later) = @_;
	return '42501' if $message->{ttl} && !$self->{graph}->names_message($message->{name});
	return 'duplicate' if $self->is_known($message);
	my @receivers = $self->receivers($message);
	if ($message->{ttl} && (!@receivers || $self->is_behind_another($message)))
	{
		$self->keep($message);
		return $self->remember($message, 'kept');
	}
	return 'missed' unless @receivers;
	return '21000' if @receivers > 1 && !$message->{to_all};
	if ($later || $message->{to_all} || $self->{suspended} || @{ $self->{posts} // [] })
	{
		$self->post($_, $message) for @receivers;
		return $self->remember($message, 'queued');
	}
	$self->happen_to($receivers[0], event_of('message', $message->{data}));
	return $self->remember($message, 'delivered');
}

# Who waits for it is settled when it is taken up.
sub send_signal
{
	my ($self, $name, $data) = @_;
	$self->{signals} = [ @{ $self->{signals} // [] }, { name => $name, data => $data } ];
	return '';
}

# The action of a step. Messages go out with its move, and are taken up after that.
sub send_event
{
	my ($self, $visit) = @_;
	my $send = $visit->{def}{send};
	my $answer;
	if ($send->{escalation}) { $answer = $self->escalate($visit, $send->{escalation}, event_of('escalation', $send->{data})) }
	elsif ($send->{signal})
	{
		$self->send_signal($send->{signal}, $send->{data});
		$answer = 'queued';
	}
	else
	{
		my $key = $send->{key};
		$key = $self->field($visit, $1) if defined $key && $key =~ /^\$\{\$\.(\w+)\}$/;
		$answer = $self->send_message({ %$send, name => $send->{message}, key => $key }, 1);
	}
	return $self->bad($visit, 'SYSTEM_ERROR', 'send') if $answer =~ /21000|42501/;
	$self->replied($visit, $answer);
}

# ---- what goes on by itself ----

# Of the same name and key the first that somebody waits for who has not refused it.
sub matchable
{
	my ($self) = @_;
	my %had;
	my @matches;
	my $kept = $self->{kept} // [];
	for my $i (0 .. $#$kept)
	{
		my $message = $kept->[$i];
		my ($first) = grep { $_->{number} > $message->{after} } $self->receivers($message);
		push @matches, [ undef, 'match', $i, $first->{number} ] if $first && !$had{ join(' ', $message->{name}, $message->{key} // '') }++;
	}
	return @matches;
}

sub moves_of_events
{
	my ($self) = @_;
	return (map({ [ undef, 'take_up', $_ ] } 0 .. $#{ $self->{signals} // [] }), $self->matchable,
		@{ $self->{posts} // [] } && !$self->{suspended} ? [ undef, 'deliver' ] : ());
}

sub event_goes_on
{
	my ($self, undef, $what, $i, $number) = @_;
	if ($what eq 'deliver') { return $self->deliver }
	my $list = $what eq 'match' ? 'kept' : 'signals';
	my @rest = @{ $self->{$list} };
	my ($one) = splice(@rest, $i, 1);
	$self->{$list} = \@rest;
	if ($what eq 'match') { $self->post({ number => $number }, $one) }
	else                  { $self->post($_, $one) for grep { $_->{kind} eq 'signal' && $_->{name} eq $one->{name} } $self->subscriptions }
}

# Those that find nobody any more are kept for as long as they were to be.
sub deliver
{
	my ($self) = @_;
	my ($post, @rest) = @{ $self->{posts} };
	my ($one) = grep { $_->{number} == $post->{to} } $self->subscriptions;
	$self->{posts} = \@rest;
	return $self->happen_to($one, event_of($one->{kind}, $post->{data})) if $one;
	if ($post->{ttl}) { $self->keep({ %$post, after => $post->{to} }) }
	else              { $self->forget($post) }
}

# ---- what tells it from others ----

sub key_of_events
{
	my ($self, $names) = @_;
	my @subscriptions = $self->subscriptions;
	my %place = map { $_->{number} => join(' ', $names->[ $_->{visit} ], @$_{qw(role kind name)}, $_->{key} // '-', $_->{met}, flat($_->{entry}{next})) } @subscriptions;
	my $group = sub { my ($one) = @_; return $one->{kind} eq 'condition' ? '' : $one->{name} };
	my $message = sub { my ($it) = @_; return join(' ', $it->{name}, map { flat($it->{$_}) } qw(key data ttl message_id instance)) };
	my $not_before = sub { my ($it) = @_; return join(' ', grep { defined } map { $_->{number} <= $it->{after} ? $place{ $_->{number} } : undef } @subscriptions) };
	return (
		(map { "waits $place{ $_->{number} }" } sort { $group->($a) cmp $group->($b) } @subscriptions),
		(map { 'post ' . $message->($_) . ' to ' . ($place{ $_->{to} } // 'nobody') . ($_->{order} ? ' kept' : '') } @{ $self->{posts} // [] }),
		(map { 'kept ' . $message->($_) . ' not ' . $not_before->($_) } @{ $self->{kept} // [] }),
		(map { "signal $_->{name} " . flat($_->{data}) } @{ $self->{signals} // [] }),
		join(' ', 'sent', sort keys %{ $self->{sent} // {} }));
}

1;
