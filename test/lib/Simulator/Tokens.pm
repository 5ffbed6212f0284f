#
# Simulator/Tokens.pm
#		Where tokens go: into steps, through joins, in and out of scopes. Nothing is counted on the way: who lives where is looked
#		up anew each time.
#
# What is on its way is a token that has left a step and has not come to the next one. A scope is the visit of a step with steps,
# named by its place among the visits; undef is the instance.
#
package Simulator;

use strict;
use warnings;

use Graph;

# What a visit hands on to those that come after it.
sub token { my ($visit) = @_; return { map { $_ => $visit->{$_} } qw(scope late unbegun) } }

sub enter
{
	my ($self, $token, $caught, @steps) = @_;
	push @{ $self->{on_their_way} }, map { { %$token, caught => $caught, to => $_ } } @steps;
}

sub scope_of { my ($self, $of) = @_; return defined $of->{scope} ? $self->{visits}[ $of->{scope} ] : undef }

sub is_ending
{
	my ($self, $of) = @_;
	my $scope = $self->scope_of($of);
	return $scope ? $scope->{ending} : $self->{reason};
}

sub same_scope { return ($_[0]{scope} // -1) == ($_[1]{scope} // -1) }

# How a token's path ends: by its own route, or by hand.
sub path_ends
{
	my ($self, $of, $how) = @_;
	my $scope = $self->scope_of($of);
	($scope // $self)->{$how} = 1;
}

# ---- what is done before anybody sees it ----

# Does nothing that comes of it depend on what is done before that? A token that comes to a step only to stand there, or goes through it
# without a look at the data; but for where the order decides which of two visits of a step is the first, or whether it is too late.
sub is_alone
{
	my ($self, $token) = @_;
	my $name = $token->{to};
	my $def = $self->step_of($token);
	return 0 if $def->{join} || has_events($def) || @{ $self->{ends} } || $self->is_ending($token);
	return $self->is_item_alone($def) if $def->{is_item};
	return 0 if $def->{each} && !$self->{suspended} && !$def->{async};
	return 0 if 1 < grep { $_->{to} eq $name } @{ $self->{on_their_way} };
	return 0 if $self->{graph}->renews_any($name);
	return 1 if $self->{suspended} || $def->{async} || $def->{http} || $def->{sql} || $def->{notify};
	return 0 if $def->{steps} || grep { $_ ne "set_$name" } map { keys %{ $def->{$_} // {} } } qw(set save);
	return 1 if $def->{wait} && !(ref $def->{wait} eq 'HASH' && $def->{wait}{when});
	return !$def->{choose} && !$def->{success} && !$def->{end} && !grep { ref } Graph::listed($def->{next} // '');
}

sub is_item_alone
{
	my ($self, $def) = @_;
	return 1 if $self->{suspended} || $def->{http} || $def->{sql} || $def->{notify};
	return $def->{wait} && !ref $def->{wait} && !$def->{set} ? 1 : 0;
}

# In any order: what one branch does may come before or after what another one does, or has led to.
sub choices
{
	my ($self) = @_;
	my @turns = grep { !$self->is_before_its_turn($_) } 0 .. $#{ $self->{on_their_way} };
	my ($alone) = grep { $self->is_alone($self->{on_their_way}[$_]) } @turns;
	return [ 'arrive', $alone ] if defined $alone;
	my @choices = ((map { [ 'arrive', $_ ] } @turns), $self->choices_of_items, map { [ 'end', $_ ] } 0 .. $#{ $self->{ends} });
	push @choices, map { [ 'begin', $_->{id} ] } grep { $_->{entered} } $self->living;
	for my $visit ($self->living)
	{
		push @choices, [ 'conclude', $visit->{id} ] if $self->is_empty($visit);
		push @choices, [ 'child', $visit->{id} ] if $visit->{child} && $visit->{child}{fresh};
		push @choices, [ 'leave', $visit->{id} ] if $visit->{leaving};
		push @choices, [ 'judge', $visit->{id} ] if stands($visit) && !$self->is_awaited($visit);
	}
	return @choices if @choices;
	@choices = $self->deadlocks;
	return @choices ? @choices : $self->conditions;
}

sub choose
{
	my ($self, $choice) = @_;
	my ($what, $i) = @$choice;
	if    ($what eq 'arrive')   { $self->arrive(splice(@{ $self->{on_their_way} }, $i, 1)) }
	elsif ($what eq 'begin')    { delete $self->{visits}[$i]{entered} && $self->take_up($self->{visits}[$i]) }
	elsif ($what eq 'end')      { $self->end_scope(@{ splice(@{ $self->{ends} }, $i, 1) }) }
	elsif ($what eq 'conclude') { $self->conclude_scope($self->{visits}[$i]) }
	elsif ($what eq 'judge')    { $self->judge_join($self->{visits}[$i]) }
	elsif ($what eq 'items')    { $self->begin_items($self->{visits}[$i]) }
	elsif ($what eq 'put_off')  { $self->{visits}[$i]{due} = 1 }
	elsif ($what eq 'child')    { $self->begin_child($self->{visits}[$i]) }
	elsif ($what eq 'leave')    { delete $self->{visits}[$i]{leaving} && $self->success($self->{visits}[$i]) }
	elsif ($what eq 'condition') { $self->condition_is_true($i) }
	return $self;
}

# ---- joins ----

# How many make it go on; undef: all.
sub needs
{
	my ($visit) = @_;
	my $join = $visit->{def}{join};
	return $join eq 'all' ? undef : $join eq 'any' ? 1 : $join;
}

sub stands { return $_[0]{standing} && $_[0]{state} eq 'waiting' }

sub late_on_arrival
{
	my ($self, $token) = @_;
	return { map { $_ => 1 } grep { !$self->{graph}->renews($token->{to}, $_) } keys %{ $token->{late} } };
}

# Others that may still come to where it stands.
sub is_awaited
{
	my ($self, $visit) = @_;
	my ($join, $graph) = ($visit->{step}, $self->{graph});
	for my $token (grep { same_scope($_, $visit) } @{ $self->{on_their_way} })
	{
		next if $self->late_on_arrival($token)->{$join};
		return 1 if $token->{to} eq $join || $graph->reaches($token->{to}, $join);
	}
	return scalar grep { $_ != $visit && same_scope($_, $visit) && !$_->{late}{$join} && $graph->reaches($_->{step}, $join) } $self->living;
}

# Where all stand, the one that stands longest.
sub deadlocks
{
	my ($self) = @_;
	my (%of_scope, @choices);
	push @{ $of_scope{ $_->{scope} // '' } }, $_ for $self->living;
	for my $living (values %of_scope)
	{
		next if grep { !stands($_) } @$living;
		my ($first) = ((grep { !defined needs($_) } @$living), @$living);
		push @choices, [ 'judge', $first->{id} ];
	}
	return @choices;
}

sub judge_join
{
	my ($self, $visit) = @_;
	return $self->bad($visit, 'SYSTEM_ERROR', 'join') if defined needs($visit);
	$self->pass_join($visit);
}

sub pass_join
{
	my ($self, $visit) = @_;
	my $join = $visit->{step};
	delete @$visit{qw(standing arrived)};
	if (defined needs($visit))
	{
		$_->{late} = { %{ $_->{late} }, $join => 1 } for grep { $_ != $visit && same_scope($_, $visit) && $self->{graph}->reaches($_->{step}, $join) } $self->living;
		$_ = { %$_, late => { %{ $_->{late} }, $join => 1 } }
		  for grep { same_scope($_, $visit) && ($_->{to} eq $join || $self->{graph}->reaches($_->{to}, $join)) } @{ $self->{on_their_way} };
	}
	@$visit{qw(state passed)} = ('ready', 1);
	$self->subscribe_waits($visit);
	return if $self->{suspended} || is_left_to_an_executor($visit->{def});
	if ($self->{graph}->is_sent_to($join)) { $visit->{entered} = 1 }
	else                                   { $self->act($visit) }
}

sub stand
{
	my ($self, $visit) = @_;
	$self->prepare($visit);
	$visit->{state} = 'waiting';
	$self->offer_handlers($visit);
	return unless $self->open_conditions($visit);
	$self->pass_join($visit) if defined needs($visit) && $visit->{arrived} >= needs($visit);
}

# It is too late only if all that have come together are.
sub absorb
{
	my ($self, $visit, $token) = @_;
	$visit->{arrived}++;
	$visit->{late} = { map { $_ => 1 } grep { $token->{late}{$_} } keys %{ $visit->{late} } };
	$self->pass_join($visit) if stands($visit) && defined needs($visit) && $visit->{arrived} >= needs($visit);
}

# ---- into a step ----

# Of the whole, or of an item.
sub step_of
{
	my ($self, $token) = @_;
	my $def = $self->{graph}{step}{ $token->{to} }{def};
	return defined $token->{item} ? $def->{item} : $def;
}

sub arrive
{
	my ($self, $token) = @_;
	my $name = $token->{to};
	my $def = $self->step_of($token);
	my $scope = $self->scope_of($token);
	my $cancelled = $self->is_ending($token) && !$def->{ignore_cancel};
	$token = { %$token, late => $self->late_on_arrival($token) };
	if ($def->{join} && !$cancelled)
	{
		return $self->path_ends($token, 'reached_end') if $token->{late}{$name};
		my ($standing) = grep { $_->{standing} && $_->{step} eq $name && same_scope($_, $token) } $self->living;
		return $self->absorb($standing, $token) if $standing;
	}
	my $visit = { id => scalar @{ $self->{visits} }, step => $name, def => $def, item => $token->{item} // ($scope ? $scope->{item} : undef), state => 'ready', attempt => 0, effects => 0, clocks => {},
		map { $_ => $token->{$_} } qw(scope late unbegun caught) };
	push @{ $self->{visits} }, $visit;
	# handlers that lead in a circle of steps none of which begins lead nowhere
	return $self->finish_cancelled($visit, $visit->{unbegun}++ >= $self->{graph}->defs) if $cancelled;
	$visit->{unbegun} = 0;
	@$visit{qw(standing arrived)} = (1, 1) if $def->{join};
	$self->subscribe($visit);
	return if $self->{suspended};
	return $self->stand($visit) if $def->{join};
	return if is_left_to_an_executor($def);
	# others may send to it before it begins
	if ($self->{graph}->is_sent_to($name)) { $visit->{entered} = 1 }
	else                                   { $self->begin($visit) }
}

# Who sends a message with a number, or calls with a key, might have to wait for another one.
sub is_left_to_an_executor { my ($def) = @_; return $def->{async} || $def->{send} && defined $def->{send}{message_id} || $def->{call} && defined $def->{call}{business_key} }

# ---- scopes ----

sub is_begun_scope { my ($visit) = @_; return ($visit->{def}{steps} || is_whole($visit)) && $visit->{state} =~ /waiting|cancelling/ && !$visit->{standing} }

sub inside { my ($self, $scope) = @_; return grep { ($_->{scope} // -1) == $scope->{id} } $self->living }

# Nothing is left of it, and nothing is about to end it or one that it is in.
sub is_empty
{
	my ($self, $visit) = @_;
	return 0 if !is_begun_scope($visit) || $self->inside($visit) || grep { ($_->{scope} // -1) == $visit->{id} } @{ $self->{on_their_way} };
	return 0 if has_more_items($visit);
	return 1 if $visit->{ending} || !@{ $self->{ends} };
	my %ends = map { ($_->[1] // 'all') => 1 } @{ $self->{ends} };
	return 0 if $ends{all};
	for (my $scope = $visit; $scope; $scope = $self->scope_of($scope)) { return 0 if $ends{ $scope->{id} } }
	return 1;
}

# A scope, or undef for the instance, is about to be ended.
sub will_end
{
	my ($self, $how, $scope, @more) = @_;
	push @{ $self->{ends} }, [ $how, $scope ? $scope->{id} : undef, @more ];
}

sub end_scope
{
	my ($self, $how, $id, @more) = @_;
	my $scope = defined $id ? $self->{visits}[$id] : undef;
	return if $scope && $scope->{outcome};
	if    ($how eq 'interrupt') { $self->interrupt_scope($scope, 'CANCELLED', @more) }
	elsif ($how eq 'fail')      { $self->interrupt_scope($scope, 'FAILED') }
	elsif ($how eq 'close')     { $self->close_scope($scope) }
	else                        { $self->end_by_itself($how) }
}

# The instance, for the first reason. What else leads there is no second cancel, which would end incidents.
sub end_by_itself
{
	my ($self, $status) = @_;
	$self->stop($status) unless $self->{reason};
}

# Its fields are made when it is entered.
sub begin_scope
{
	my ($self, $visit) = @_;
	my $fields = $visit->{def}{local};
	$visit->{state} = 'waiting';
	$visit->{local} = { map { $_ => ref $fields->{$_} ? $fields->{$_} ? 1 : 0 : $self->worked_out($visit, $fields->{$_}) // $fields->{$_} } keys %$fields }
	  if $fields;
	$self->enter({ scope => $visit->{id}, late => {}, unbegun => 0 }, $visit->{caught}, $self->{graph}->inner($visit->{step}));
}

# Where a visit finds a field: in the nearest scope that has it, or in the data.
sub holder
{
	my ($self, $visit, $field) = @_;
	for (my $scope = $self->scope_of($visit); $scope; $scope = $self->scope_of($scope))
	{
		return $scope if $scope->{local} && exists $scope->{local}{$field};
	}
	return undef;
}

sub field
{
	my ($self, $visit, $field) = @_;
	my $scope = $self->holder($visit, $field);
	return ($scope ? $scope->{local} : $self->{data})->{$field};
}

sub store
{
	my ($self, $visit, $field, $value) = @_;
	my $scope = $self->holder($visit, $field);
	if ($scope) { $scope->{local} = { %{ $scope->{local} }, $field => $value } }
	else        { $self->{data}{$field} = $value }
}

# What lives in it is interrupted, but steps that ignore it, and what the outside has ended already. What is in the way of an end is not left.
sub interrupt_inside
{
	my ($self, $scope) = @_;
	for my $visit ($self->inside($scope))
	{
		next if $visit->{outcome} || $visit->{state} eq 'cancelling';
		next if $visit->{def}{ignore_cancel} && ($self->{reason} || $visit->{state} ne 'incident');
		if ($visit->{has_callback}) { $self->leave_to_its_end($visit) }
		else                        { $self->interrupt($visit, 'CANCELLED') }
	}
}

# Which is known.
sub leave_to_its_end
{
	my ($self, $visit) = @_;
	return $self->interrupt($visit, 'SUCCESS') if awaits_child($visit);
	$visit->{clocks} = {};
	tell_child($visit);
}

# The first reason stays.
sub interrupt_scope
{
	my ($self, $scope, $outcome, $handler, $caught) = @_;
	return if $scope->{ending};
	@$scope{qw(ending state cancelling handler handed)} = (1, 'cancelling', $outcome, $handler, $caught);
	$scope->{clocks} = {};
	drop_offers($scope);
	$self->interrupt_inside($scope);
}

# Ended by a step inside, successfully. In the outermost one it is the end of the instance.
sub close_scope
{
	my ($self, $scope) = @_;
	my $outermost = !$scope || $scope->{step} eq $Graph::PROCESS;
	if ($scope && !$scope->{ending})
	{
		@$scope{qw(ending state succeeds)} = (1, 'cancelling', 1);
		$scope->{clocks} = {};
		drop_offers($scope);
		$self->interrupt_inside($scope);
	}
	$self->end_by_itself('completed') if $outermost;
}

# The last token in it has ended.
sub conclude_scope
{
	my ($self, $scope) = @_;
	if    ($scope->{ending}) { $scope->{succeeds} ? $self->success($scope) : $self->conclude($scope) }
	elsif (!$scope->{reached_end} && $scope->{by_hand}) { $self->finish_cancelled($scope) }
	else                                                { $self->success($scope) }
}

# Which scope around a visit catches that, and its handler. Whoever is ending looks no further; of an instance that ends it makes no
# difference whether its process is a scope.
sub catcher_around
{
	my ($self, $visit, $outcome, $code) = @_;
	for (my $scope = $self->scope_of($visit); $scope; $scope = $self->scope_of($scope))
	{
		return undef if $scope->{step} eq $Graph::PROCESS && $self->{reason};
		return 'ending' if $scope->{ending};
		my $handler = catcher($scope, $outcome, $code);
		return ($scope, $handler) if $handler;
	}
	return undef;
}

# "end" with an error: the visit has ended as it should. What nobody catches is the fault of the item, if there is one.
sub throw
{
	my ($self, $visit, $code, $caught) = @_;
	my ($scope, $handler) = $self->catcher_around($visit, 'FAILED', $code);
	my $item = $self->item_of_steps($visit);
	return $self->will_end($item ? 'fail' : 'aborted', $item) unless $scope;
	$self->will_end('interrupt', $scope, $handler, $caught) if ref $scope;
}

1;
