#
# Simulator/Offers.pm
#		Tasks for people and work for workers: who has them, who may end what a visit waits for, and what he means by that.
#
# A visit that offers a task has `task`: {entry, role, holder, assigned, roles, claimed, person}; one that offers work has `work`: {entry, role,
# data, failures, fetch, lock, paused}. fetch is the number of the fetch, of those of this visit, that has the work; lock: `long`, or `short`,
# which has run out already. Of a visit `fetches` tells how often its work was fetched, `claimants` who has ever claimed its task, `given_to` to whom
# it was reassigned, `done_by` who has done it, as the event of its end or of what interrupted it says.
#
# $by says who calls: {who, fetch, no_retry, let_in}. let_in: the task was his when he began to wait for those who are busy with the instance.
#
package Simulator;

use strict;
use warnings;

use OfferMaker;
use StepMaker;

sub is_offer { my ($entry) = @_; return $entry->{task} || $entry->{topic} ? 1 : 0 }

sub offers_of { my ($def) = @_; return grep { is_offer($_) } waits_of($def), @{ $def->{catch} // [] } }

# ---- what there is ----

# What has begun to be offered, as long as it is.
sub offered { my ($visit, $kind) = @_; return $visit && takes_events($visit) ? $visit->{$kind} : undef }

sub task_of { return offered($_[0], 'task') }
sub work_of { return offered($_[0], 'work') }

# Can it be done, whoever it is for?
sub offer
{
	my ($self, $visit, $entry, $role) = @_;
	if ($entry->{topic})
	{
		$visit->{work} = { entry => $entry, role => $role, data => $self->worked_out($visit, $entry->{data}), failures => 0 };
		return 1;
	}
	my $task = $entry->{task};
	return 0 if grep { $_ eq $OfferMaker::NOBODY } @{ $task->{roles} // [] };
	$visit->{task} = { entry => $entry, role => $role, holder => $task->{assignee}, assigned => $task->{assignee}, roles => $task->{roles} ? 1 : 0 };
	return 1;
}

sub offer_handlers
{
	my ($self, $visit) = @_;
	$self->offer($visit, $_, role_of($_)) for grep { is_offer($_) } @{ $visit->{def}{catch} // [] };
}

sub drop_offers { my ($visit) = @_; delete @$visit{qw(task work)} }

# ---- who ----

sub has_privilege { my ($by) = @_; return ($by->{who} // 'admin') =~ /^(admin|service)$/ }
sub is_admin      { my ($by) = @_; return ($by->{who} // 'admin') eq 'admin' }

# Superusers are members of nothing here.
sub is_of { my ($who, $role) = @_; return defined $role && !has_privilege({ who => $who }) && ($role eq $who || $role eq $OfferMaker::ALL) }

sub standing
{
	my ($task, $who) = @_;
	return '' unless $task;
	return 'holder' if is_of($who, $task->{holder});
	return 'stranger' unless is_of($who, $task->{assigned}) || ($task->{roles} && is_of($who, $OfferMaker::ALL));
	return defined $task->{holder} ? 'candidate' : 'holder';
}

# Does he find the serial number, without any privilege?
sub is_admitted
{
	my ($visit, $by) = @_;
	return 1 if has_privilege($by) || $by->{let_in};
	return 1 if standing(task_of($visit), $by->{who}) =~ /holder|candidate/;
	return 0 unless $visit;
	return 1 if $visit->{claimants} && $visit->{claimants}{ $by->{who} };
	return 0 if task_of($visit);
	return ($visit->{done_by} // '') eq $by->{who} || (grep { is_of($by->{who}, $_) } sort keys %{ $visit->{given_to} // {} }) ? 1 : 0;
}

# ---- complete and fail ----

# It waited for a task, and for nothing that the privilege is for.
sub is_incident_of_task
{
	my ($visit) = @_;
	my @waits = waits_of($visit->{def});
	return $visit->{state} eq 'incident' && (grep { $_->{task} } @waits) && !grep { $_->{callback} || $_->{topic} } @waits;
}

sub meant
{
	my ($self, $visit, $by) = @_;
	my ($task, $work) = (task_of($visit), work_of($visit));
	my $takes_callback = takes_callback($visit);
	return $work && ($work->{fetch} // 0) == $by->{fetch} ? 'work' : 'lost' if defined $by->{fetch};
	return 'callback' unless offers_of($visit->{def});
	if ($visit->{has_callback} || $visit->{state} eq 'incident')
	{
		return 'lost' unless has_privilege($by);
		return is_incident_of_task($visit) && !is_admin($by) ? 'nothing' : 'callback';
	}
	return 'task' if standing($task, $by->{who} // 'admin') eq 'holder';
	return $task ? 'nothing' : 'lost' unless has_privilege($by);
	return 'callback' if $takes_callback;
	return is_admin($by) ? 'task' : 'nothing' if $task && (is_admin($by) || !$work);
	return 'callback' unless $work;
	return is_taken($work) ? 'locked' : 'work';
}

# complete, or fail with a code.
sub bring
{
	my ($self, $visit, $data, $code, $by) = @_;
	return '42704' unless is_admitted($visit, $by);
	return $self->too_late if !$visit || $visit->{outcome};
	my $meant = $self->meant($visit, $by);
	return $self->callback($visit, $data, $code, is_admin($by)) if $meant eq 'callback';
	return '42501' if $meant eq 'nothing';
	return '55000' if $meant eq 'locked';
	my $is_over = $visit->{has_callback} || $visit->{state} eq 'incident' || (has_privilege($by) && !defined $by->{fetch});
	$visit->{done_by} = $by->{who} if $meant eq 'task' && $visit->{task}{role} eq 'wait' && !$self->is_interrupted_soon($visit);
	my $answer = $meant eq 'task' ? $self->done($visit, 'task', $data, $code, $by) : $meant eq 'work' ? $self->worked($visit, $data, $code, $by) : undef;
	return $answer // ($is_over ? $self->too_late : 'false');
}

# Returns undef if it is too late.
sub done
{
	my ($self, $visit, $kind, $data, $code, $by) = @_;
	my $offer = $visit->{$kind};
	my $event = { kind => $offer->{entry}{task} ? 'task' : 'topic', who => $by->{who}, %{ $data // {} } };
	return undef unless $self->may_begin_handlers($visit);
	return $self->begin_handler($visit, $offer->{entry}, $event) if $offer->{role} ne 'wait' && !defined $code;
	return '55000' if $offer->{role} ne 'wait';
	return undef if $self->is_interrupted_soon($visit);
	$self->accept_event($visit, $offer->{entry}, $event, 0, $code);
	return 'true';
}

# ---- work ----

sub is_taken { my ($work) = @_; return defined $work->{fetch} && $work->{lock} eq 'long' }

# Does the author name the code where it is caught: at the step, or at a scope around?
sub is_caught
{
	my ($self, $visit, $code) = @_;
	for (my $at = $visit; $at; $at = $self->scope_of($at))
	{
		return 1 if grep { $_ eq $code } map { ref $_->{on} ? @{ $_->{on} } : () } @{ $at->{def}{catch} // [] };
	}
	return 0;
}

# It goes by the retry of the step, for which that of a handler is no attempt.
sub worked
{
	my ($self, $visit, $data, $code, $by) = @_;
	my $work = $visit->{work};
	my $retry = $visit->{def}{retry} // $self->{retry};
	return $self->done($visit, 'work', $data, $code, $by) if $work->{role} ne 'wait';
	delete $visit->{fault} unless defined $code;
	return $self->done($visit, 'work', $data, $code, $by)
	  if !defined $code || $by->{no_retry} || !$self->may_begin_handlers($visit) || $work->{failures} >= $retry->{max}
	  || ($retry->{on} && !grep { $_ eq $code } @{ $retry->{on} }) || $self->is_caught($visit, $code);
	free_work($visit, failures => $work->{failures} + 1, paused => StepMaker::is_soon($retry->{delay}) ? 0 : 1);
	$visit->{fault} = $code;
	return 'true';
}

# Visits whose work a worker may get.
sub fetchable
{
	my ($self) = @_;
	return if $self->{suspended};
	return map { $_->{id} } grep { my $work = work_of($_); $work && !$work->{paused} && !is_taken($work) } $self->living;
}

# The silence that the step allows begins with a fetch, as long as the lock lasts, if it is not of a callback.
sub listens_to_worker { my ($visit) = @_; return $visit->{def}{heartbeat} && $visit->{work}{role} eq 'wait' && !ends_by_callback($visit) }

sub listen_to_worker
{
	my ($visit) = @_;
	return unless listens_to_worker($visit);
	$visit->{loose} = 1;
	$visit->{clocks}{heartbeat} = 1;
}

# Nobody has it.
sub free_work
{
	my ($visit, %changes) = @_;
	delete $visit->{clocks}{heartbeat} if listens_to_worker($visit);
	$visit->{work} = { %{ $visit->{work} }, fetch => undef, lock => undef, %changes };
}

# As [step, data, number], in an order that does not depend on numbers that nobody has seen.
sub fetch
{
	my ($self, $lock, @ids) = @_;
	my @fetched;
	for my $visit (map { $self->{visits}[$_] } @ids)
	{
		$visit->{work} = { %{ $visit->{work} }, fetch => ++$visit->{fetches}, lock => $lock };
		listen_to_worker($visit) if $lock eq 'long';
		push @fetched, [ $visit->{step}, $visit->{work}{data} // '-', $visit->{sn} // '*' ];
	}
	return @fetched;
}

# What a worker does with the lock that he has, or had.
sub lock_of
{
	my ($visit, $fetch) = @_;
	my $work = work_of($visit);
	return $work && ($work->{fetch} // 0) == $fetch ? $work : undef;
}

sub release
{
	my ($self, $visit, $fetch) = @_;
	lock_of($visit, $fetch) // return 'false';
	free_work($visit);
	return 'true';
}

sub extend
{
	my ($self, $visit, $fetch, $lock) = @_;
	my $work = lock_of($visit, $fetch) // return 'false';
	$visit->{work} = { %$work, lock => $lock } if $lock eq 'long';
	return 'true';
}

sub heartbeat_of_worker
{
	my ($self, $visit, $fetch) = @_;
	return 'false' unless lock_of($visit, $fetch);
	return $self->sign_of_life($visit);
}

# As the view of the topics counts it: ready, locked, paused.
sub topics
{
	my ($self) = @_;
	my @works = grep { $_ } map { work_of($_) } $self->living;
	my $locked = grep { is_taken($_) } @works;
	my $paused = grep { $self->{suspended} || $_->{paused} } @works;
	my $ready = $self->{suspended} ? 0 : grep { !is_taken($_) && !$_->{paused} } @works;
	return "$ready $locked $paused";
}

# ---- who has a task ----

# Returns the task, or undef and what is answered.
sub task_for
{
	my ($self, $visit, $by) = @_;
	return (undef, '42501') if $by->{who} eq 'service';
	return (undef, '42704') unless is_admitted($visit, $by);
	return (undef, 'false') if !$visit || $visit->{outcome} || $visit->{has_callback};
	my $task = task_of($visit);
	return $task ? $task : (undef, '55000');
}

sub claim
{
	my ($self, $visit, $by, $person) = @_;
	my ($task, $answer) = $self->task_for($visit, $by);
	return $answer unless $task;
	my $standing = standing($task, $by->{who});
	return 'false' if $standing eq 'candidate';
	return '42501' if $standing ne 'holder';
	return $task->{holder} eq $by->{who} && ($task->{person} // '') eq ($person // '') ? 'true' : 'false' if $task->{claimed};
	$visit->{task} = { %$task, holder => $by->{who}, claimed => 1, person => $person };
	$visit->{claimants} = { %{ $visit->{claimants} // {} }, $by->{who} => 1 };
	return 'true';
}

sub may_give_away { my ($task, $by) = @_; return is_admin($by) || (standing($task, $by->{who}) eq 'holder' && defined $task->{holder}) }

sub unclaim
{
	my ($self, $visit, $by) = @_;
	my ($task, $answer) = $self->task_for($visit, $by);
	return $answer unless $task;
	my $nobody_has_it = !defined $task->{holder};
	return '42501' if (!$nobody_has_it || standing($task, $by->{who}) eq 'stranger') && !may_give_away($task, $by);
	return 'false' if $nobody_has_it;
	return '55000' if !$task->{claimed} && !$task->{roles};
	$visit->{task} = { %$task, holder => $task->{roles} ? undef : $task->{assigned}, claimed => undef, person => undef };
	return 'true';
}

sub reassign
{
	my ($self, $visit, $by, $role) = @_;
	my ($task, $answer) = $self->task_for($visit, $by);
	return $answer unless $task;
	return '42501' unless may_give_away($task, $by);
	$visit->{task} = { %$task, holder => $role, assigned => $role, claimed => undef, person => undef };
	$visit->{given_to} = { %{ $visit->{given_to} // {} }, $role => 1 };
	return 'true';
}

1;
