#
# Simulator/Events.pm
#		What a visit waits for, by what its step waits for and by its handlers: messages, signals and conditions. The first event of
#		several, handlers by events, escalations.
#
# A subscription is {number, visit, entry, role, kind, name, key, met}: role is "wait", or "beside" or "instead" of handlers; entry is
# what the definition says. They are listed in the order in which they were made. An event is {kind, n, ok}: its data, if it has any.
#
package Simulator;

use strict;
use warnings;

use Graph;
use StepMaker;

my @KINDS = qw(callback message signal condition task topic escalation every after until);

sub kind_of { my ($entry) = @_; return (grep { exists $entry->{$_} } @KINDS)[0] }

# What a step waits for, in its order.
sub waits_of
{
	my ($def) = @_;
	my $wait = $def->{wait};
	return @{ $def->{first_of} } if $def->{first_of};
	return !$wait ? () : ref $wait eq 'HASH' ? $wait : { callback => 1 };
}

sub callback_of { my ($def) = @_; return (grep { $_->{callback} } waits_of($def))[0] }

sub handlers_of
{
	my ($def, $kind) = @_;
	return grep { kind_of($_) && kind_of($_) eq $kind } @{ $def->{catch} // [] };
}

# Of those it matters who comes first.
sub has_events
{
	my ($def) = @_;
	return $def->{send} || $def->{call} || $def->{first_of} || (grep { !$_->{callback} && !$_->{after} && !$_->{until} } waits_of($def)) || grep { !$_->{on} && !$_->{after} && !$_->{until} } @{ $def->{catch} // [] };
}

# Does a person know where to go on from an incident of that step?
sub leads_on
{
	my ($def) = @_;
	return !$def->{first_of} || callback_of($def) || !grep { !$_->{when} } @{ $def->{first_of} };
}

sub role_of { my ($entry) = @_; return $entry->{interrupt} // 1 ? 'instead' : 'beside' }

# ---- subscriptions ----

# One that has ended, stands as an incident, is being ended or has accepted the event that ends it waits for nothing.
sub takes_events
{
	my ($visit) = @_;
	return !$visit->{outcome} && $visit->{state} !~ /incident|cancelling/ && !$visit->{has_callback};
}

sub subscriptions
{
	my ($self) = @_;
	return @{ $self->{subscriptions} = [ grep { takes_events($self->{visits}[ $_->{visit} ]) } @{ $self->{subscriptions} // [] } ] };
}

sub add_subscription
{
	my ($self, $visit, $entry, $role) = @_;
	my $kind = kind_of($entry);
	my $key = $entry->{key};
	$key = $self->worked_out($visit, $key) // $key;
	my $one = { number => ++$self->{numbers}, visit => $visit->{id}, entry => $entry, role => $role, kind => $kind, name => $entry->{$kind}, key => $key, met => 0 };
	$self->{subscriptions} = [ $self->subscriptions, $one ];
	return $one;
}

# Those that count from the entry on. What stands at a join waits for nothing else yet.
sub subscribe
{
	my ($self, $visit) = @_;
	$visit->{subscribed} = 1;
	$self->subscribe_waits($visit) unless $visit->{standing};
	$self->add_subscription($visit, $_, role_of($_)) for map { handlers_of($visit->{def}, $_) } qw(message signal);
}

sub subscribe_waits
{
	my ($self, $visit) = @_;
	$self->add_subscription($visit, $_, 'wait') for grep { kind_of($_) =~ /message|signal/ } waits_of($visit->{def});
}

# Those of entries that are not waited for.
sub unsubscribe
{
	my ($self, $visit, @entries) = @_;
	my $is_one = sub { my ($one) = @_; return $one->{visit} == $visit->{id} && grep { $_ == $one->{entry} } @entries };
	$self->{subscriptions} = [ grep { !$is_one->($_) } $self->subscriptions ];
}

# ---- what happens ----

sub save_event
{
	my ($self, $visit, $entry, $event) = @_;
	my $fields = $entry->{save} // {};
	$self->store($visit, $_, $fields->{$_} =~ /kind/ ? $event->{kind} : $event->{n} // 0) for keys %$fields;
}

sub caught_event { my ($event, $fault, $visit) = @_; return [ @{ handed($visit, $fault) }[ 0, 1 ], $event->{n} // 0 ] }

sub happen
{
	my ($self, $visit, $entry, $role, $event) = @_;
	if ($role eq 'wait') { $self->accept_event($visit, $entry, $event) }
	elsif ($role eq 'instead')
	{
		$visit->{happened} = $event;
		$visit->{done_by} = $event->{kind} eq 'task' ? $event->{who} : undef;
		$self->interrupt($visit, 'CANCELLED', $entry);
	}
	else
	{
		$self->save_event($visit, $entry, $event);
		$self->enter(token($visit), caught_event($event, $visit->{fault}, $visit), Graph::names($entry->{next}));
	}
}

# As a callback, perhaps before it is waited for.
sub accept_event
{
	my ($self, $visit, $entry, $event, $at_once, $code) = @_;
	@$visit{qw(has_callback accepted event)} = (1, $entry, $event);
	drop_offers($visit);
	delete $visit->{error_code};
	$visit->{error_code} = $code if defined $code;
	$visit->{clocks} = {} unless is_early($visit) || awaits_child($visit);
	return if $self->{suspended} || $visit->{asked} || $visit->{statement} || $visit->{child};
	return if $visit->{state} ne 'waiting';
	if ($at_once) { $self->pass($visit) }
	else          { $self->called_back($visit) }
}

# Has an event come before what the step does was done, with all its attempts? Who sends it knows nothing of that, as a callback does.
sub is_early
{
	my ($visit) = @_;
	return $visit->{has_callback} && $visit->{event} && $visit->{event}{kind} ne 'callback' && $visit->{state} =~ /ready|calling|retrying/;
}

# Then it is done all the same, as long as the clocks of the step let it, unless it was called off.
sub acts_first
{
	my ($self, $visit) = @_;
	return is_early($visit) && !$visit->{left_out} && (!$self->is_ending($visit) || $visit->{def}{ignore_cancel});
}

# A callback may be the first of several events.
sub by_callback
{
	my ($self, $visit, $data) = @_;
	return unless $visit->{def}{first_of};
	@$visit{qw(accepted event)} = (callback_of($visit->{def}), { kind => 'callback', %{ $data // {} } });
}

sub happen_to { my ($self, $one, $event) = @_; $self->happen($self->{visits}[ $one->{visit} ], @$one{qw(entry role)}, $event) }

# ---- waits ----

sub is_open
{
	my ($self, $visit, $entry, $status) = @_;
	my $when = $entry->{when} // return 1;
	return ($status // '') eq $1 if $when =~ /^\$reply\.status == (\d+)$/;
	return $self->is_true($visit, $when);
}

sub is_true
{
	my ($self, $visit, $condition) = @_;
	my ($field, $is, $value) = $condition =~ /^\$\.(\w+) (==|>) (\d+)$/ or die "what is $condition?\n";
	my $has = $self->field($visit, $field) // return 0;
	return $is eq '>' ? $has > $value : $has == $value;
}

# What is true already happens at once, the first of several.
sub open_waits
{
	my ($self, $visit, $status) = @_;
	my (@open, @closed);
	return $self->called_back($visit) if $visit->{has_callback};
	push @{ $self->is_open($visit, $_, $status) ? \@open : \@closed }, $_ for waits_of($visit->{def});
	$self->unsubscribe($visit, @closed) if @closed;
	return $self->pass($visit) unless @open;
	@$visit{qw(state opened)} = ('waiting', \@open);
	for my $entry (@open)
	{
		$visit->{clocks}{after} = $entry if StepMaker::is_soon($entry->{after});
		$visit->{clocks}{past} = $entry if StepMaker::is_soon($entry->{until});
		next unless $entry->{condition};
		return $self->accept_event($visit, $entry, { kind => 'condition' }, 'at once') if $self->is_true($visit, $entry->{condition});
		$self->add_subscription($visit, $entry, 'wait');
	}
	$self->offer($visit, $_, 'wait') || return $self->bad($visit, 'SYSTEM_ERROR', 'task') for grep { is_offer($_) } @open;
	$visit->{clocks}{heartbeat} = 1 if $visit->{def}{heartbeat} && grep { $_->{callback} } @open;
}

# ---- conditions ----

# Those of handlers, as it begins. Does it still go on?
sub open_conditions
{
	my ($self, $visit) = @_;
	for my $entry (handlers_of($visit->{def}, 'condition'))
	{
		my $one = $self->add_subscription($visit, $entry, role_of($entry));
		next unless $self->is_true($visit, $entry->{condition});
		$self->meet($one, 1);
		$self->happen($visit, $entry, role_of($entry), { kind => 'condition' });
		return 0 unless takes_events($visit);
	}
	return 1;
}

sub meet
{
	my ($self, $which, $met) = @_;
	$self->{subscriptions} = [ map { $_->{number} == $which->{number} ? { %$_, met => $met } : $_ } @{ $self->{subscriptions} } ];
}

# Once nothing else is to be done: the first that has become true.
sub conditions
{
	my ($self) = @_;
	return if $self->{suspended};
	for my $one (grep { $_->{kind} eq 'condition' } $self->subscriptions)
	{
		my $visit = $self->{visits}[ $one->{visit} ];
		next if $self->is_ending($visit) && !$visit->{def}{ignore_cancel};
		my $is = $self->is_true($visit, $one->{entry}{condition});
		return [ 'condition', $one->{number} ] if $is && !$one->{met};
		$self->meet($one, $is ? 1 : 0);
	}
	return;
}

sub condition_is_true
{
	my ($self, $number) = @_;
	my ($one) = grep { $_->{number} == $number } $self->subscriptions;
	$self->meet($one, 1);
	$self->happen_to($one, { kind => 'condition' });
}

# ---- escalations ----

# Whether a scope around has caught it. $caught is who has sent it.
sub escalate
{
	my ($self, $visit, $code, $event) = @_;
	for (my $scope = $self->scope_of($visit); $scope; $scope = $self->scope_of($scope))
	{
		next if $scope->{state} eq 'cancelling' || $scope->{ending};
		my ($handler) = grep { $_->{escalation} eq $code || $_->{escalation} eq '*' } handlers_of($scope->{def}, 'escalation');
		next unless $handler;
		my $caught = caught_event($event, $visit->{fault}, $visit);
		if (role_of($handler) eq 'instead') { $self->will_end('interrupt', $scope, $handler, $caught) }
		else
		{
			$self->save_event($scope, $handler, $event);
			$self->enter(token($scope), $caught, Graph::names($handler->{next}));
		}
		return 'delivered';
	}
	return 'missed';
}

1;
