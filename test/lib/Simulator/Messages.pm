#
# Simulator/Messages.pm
#		Messages, signals and callbacks on their way: what is kept until somebody waits for it, and what is yet to be taken up by who does.
#
#   $sim->send_message({ name, key, data, ttl, message_id, instance, to_all }, $later)    as its answer; $later: somebody is busy
#   $sim->send_signal($name, { data })
#
package Simulator;

use strict;
use warnings;

use StepMaker;

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
	return $one->{role} ne 'beside' && grep { defined $_->{to} && $_->{to} == $one->{number} } @{ $self->{posts} // [] };
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
	delete @$message{qw(to held)};
	$self->{kept} = [ sort { $a->{order} <=> $b->{order} } @{ $self->{kept} // [] }, $message ];
}

sub post
{
	my ($self, $one, $message) = @_;
	$self->{posts} = [ @{ $self->{posts} // [] }, { $message->{ttl} ? (order => ++$self->{numbers}) : (), %$message, to => $one->{number}, $self->{suspended} ? (held => 'surely') : () } ];
}

# None of these is kept or sent again by itself.
sub post_to_all
{
	my ($self, $message, @receivers) = @_;
	$self->post($_, { %$message, ttl => undef, message_id => undef }) for @receivers;
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
	if ($message->{ttl} && (!@receivers || ($self->is_behind_another($message) && !$message->{to_all})))
	{
		$self->keep($message);
		return $self->remember($message, 'kept');
	}
	return 'missed' unless @receivers;
	return '21000' if @receivers > 1 && !$message->{to_all};
	if    ($message->{to_all}) { $self->post_to_all($message, @receivers) }
	elsif ($later || $self->{suspended} || @{ $self->{posts} // [] }) { $self->post($receivers[0], $message) }
	else
	{
		$self->happen_to($receivers[0], event_of('message', $message->{data}));
		return $self->remember($message, 'delivered');
	}
	return $self->remember($message, 'queued');
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
		$key = $self->worked_out($visit, $key) // $key;
		$answer = $self->send_message({ %$send, name => $send->{message}, key => $key }, 1);
	}
	return $self->bad($visit, 'SYSTEM_ERROR', 'send') if $answer =~ /21000|42501/;
	$visit->{told} = $answer;
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

sub is_short { my ($message) = @_; return ($message->{ttl} // '') eq $StepMaker::SHORT }

# What has expired while the instance was suspended is not brought to it, unless it was not put aside in the meantime.
sub ways_to_deliver
{
	my ($post) = @_;
	return !$post ? () : !is_short($post) || !$post->{held} ? 'brought' : $post->{held} eq 'perhaps' ? ('brought', 'expired') : 'expired';
}

sub moves_of_events
{
	my ($self) = @_;
	return (map({ [ undef, 'take_up', $_ ] } 0 .. $#{ $self->{signals} // [] }), $self->matchable,
		(map { [ undef, 'expire', $_ ] } grep { is_short($self->{kept}[$_]) } 0 .. $#{ $self->{kept} // [] }),
		$self->{suspended} ? () : map { [ undef, 'deliver', $_ ] } ways_to_deliver(@{ $self->{posts} // [] }));
}

sub event_goes_on
{
	my ($self, undef, $what, $i, $number) = @_;
	if ($what eq 'deliver') { return $self->deliver($i) }
	my $list = $what eq 'take_up' ? 'signals' : 'kept';
	my @rest = @{ $self->{$list} };
	my ($one) = splice(@rest, $i, 1);
	$self->{$list} = \@rest;
	if    ($what eq 'expire') { $self->forget($one) }
	elsif ($what eq 'match' && $one->{to_all}) { $self->post_to_all($one, $self->receivers($one)) }
	elsif ($what eq 'match') { $self->post({ number => $number }, $one) }
	else                     { $self->post($_, $one) for grep { $_->{kind} eq 'signal' && $_->{name} eq $one->{name} } $self->subscriptions }
}

# Those that find nobody any more are kept for as long as they were to be.
sub deliver
{
	my ($self, $how) = @_;
	my ($post, @rest) = @{ $self->{posts} };
	$self->{posts} = \@rest;
	return $self->deliver_callback($post) if defined $post->{callback};
	my ($one) = grep { $_->{number} == $post->{to} } $self->subscriptions;
	return $self->forget($post) if $how eq 'expired';
	return $self->happen_to($one, event_of($one->{kind}, $post->{data})) if $one;
	if ($post->{ttl}) { $self->keep({ %$post, after => $post->{to} }) }
	else              { $self->forget($post) }
}

sub deliver_callback
{
	my ($self, $post) = @_;
	my $visit = $self->{visits}[ $post->{callback} ];
	my $handler = handler_of($visit, $post->{event}{kind});
	$self->happen($visit, $handler, role_of($handler), $post->{event}) if $self->may_begin_handlers($visit);
}

# Messages that are kept for long, or will be again, as far as anybody sees them.
sub kept_for_long { my ($self) = @_; return scalar grep { $_->{ttl} && !is_short($_) } @{ $self->{kept} // [] }, @{ $self->{posts} // [] } }

# ---- what tells it from others ----

sub key_of_events
{
	my ($self, $names) = @_;
	my @subscriptions = $self->subscriptions;
	my %place = map { $_->{number} => join(' ', $names->[ $_->{visit} ], @$_{qw(role kind name)}, $_->{key} // '-', $_->{met}, flat($_->{entry}{next})) } @subscriptions;
	my $group = sub { my ($one) = @_; return $one->{kind} eq 'condition' ? '' : $one->{name} };
	my $message = sub { my ($it) = @_; return join(' ', $it->{name}, map { flat($it->{$_}) } qw(key data ttl message_id instance to_all)) };
	my $post = sub {
		my ($it) = @_;
		return "callback of $names->[ $it->{callback} ] " . flat($it->{event}) if defined $it->{callback};
		return join(' ', $message->($it), 'to', $place{ $it->{to} } // 'nobody', $it->{order} ? 'kept' : '', $it->{held} // '');
	};
	my $not_before = sub { my ($it) = @_; return join(' ', grep { defined } map { $_->{number} <= $it->{after} ? $place{ $_->{number} } : undef } @subscriptions) };
	return (
		(map { "waits $place{ $_->{number} }" } sort { $group->($a) cmp $group->($b) } @subscriptions),
		(map { 'post ' . $post->($_) } @{ $self->{posts} // [] }),
		(map { 'kept ' . $message->($_) . ' not ' . $not_before->($_) } @{ $self->{kept} // [] }),
		(map { "signal $_->{name} " . flat($_->{data}) } @{ $self->{signals} // [] }),
		join(' ', 'sent', sort keys %{ $self->{sent} // {} }));
}

1;
