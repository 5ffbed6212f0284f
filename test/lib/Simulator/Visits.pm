#
# Simulator/Visits.pm
#		What a visit does, and how it ends.
#
package Simulator;

use strict;
use warnings;

use Graph;
use StepMaker;

# Its clocks, as it begins or stands at a join.
sub prepare
{
	my ($self, $visit) = @_;
	$visit->{attempt} = 0;
	my $anew = !$visit->{subscribed} || $visit->{state} eq 'incident';
	delete @$visit{qw(reply callback error_code has_callback cancelling handler handed fault told_to_stop moved passed ending succeeds reached_end by_hand local)};
	delete @$visit{qw(accepted event happened opened left_out list begun given due leaving told child task work done_by)};
	$visit->{state} = 'ready';
	$self->subscribe($visit) if $anew;
	set_clocks($visit);
}

sub set_clocks
{
	my ($visit) = @_;
	my $def = $visit->{def};
	$visit->{clocks} = {};
	$visit->{clocks}{ $def->{timeout} eq $StepMaker::SOON{early} ? 'early' : 'timeout' } = 1 if StepMaker::is_soon($def->{timeout});
	$visit->{clocks}{ role_of($_) } = $_ for grep { $_->{after} } @{ $def->{catch} // [] };
	$visit->{clocks}{ 'past ' . role_of($_) } = $_ for grep { $_->{until} } @{ $def->{catch} // [] };
	$visit->{clocks}{ 'every' . $_->{times} } = $_ for grep { StepMaker::is_soon($_->{every}) } @{ $def->{catch} // [] };
}

sub begin
{
	my ($self, $visit) = @_;
	$self->prepare($visit);
	$self->offer_handlers($visit);
	$self->act($visit) if $self->open_conditions($visit);
}

sub act
{
	my ($self, $visit) = @_;
	my $def = $visit->{def};
	delete $visit->{passed};
	if    ($def->{http}) { $self->ask($visit, 'calling', 'action') }
	elsif ($def->{sql} || $def->{notify}) { @$visit{qw(state statement)} = ('calling', 1) }
	elsif ($def->{steps}) { $self->begin_scope($visit) }
	elsif ($def->{call})  { $self->begin_call($visit) }
	elsif ($def->{each})  { $self->begin_list($visit) }
	elsif ($def->{send})  { $self->send_event($visit) }
	else
	{
		$self->change($visit, set => sub { return ref $_[0] ? $_[0] ? 1 : 0 : $_[0] });
		$self->open_waits($visit);
	}
}

# Fields of that key of its step. What was caught is seen by whatever comes after it; the rest is for `value` to say.
sub change
{
	my ($self, $visit, $key, $value) = @_;
	my $changes = $visit->{def}{$key};
	return unless ref $changes;
	for my $field (keys %$changes)
	{
		my $caught = $visit->{caught} // [ 0, 0 ];
		$self->store($visit, $field, $field =~ /^caught_/ ? $caught->[0] : $field =~ /^error_/ ? $caught->[1] : $field =~ /^event_/ ? $caught->[2] // 0 : $self->worked_out($visit, $changes->{$field}) // $value->($changes->{$field}));
	}
}

# Due; whether it is under way nobody knows before it is there.
sub ask
{
	my ($self, $visit, $state, $kind) = @_;
	@$visit{qw(state asked)} = ($state, $kind);
	delete $visit->{sent};
}

sub ends_by_callback
{
	my ($visit) = @_;
	return 0 if $visit->{standing} && $visit->{state} ne 'incident';
	return 0 if $visit->{opened} && !grep { $_->{callback} } @{ $visit->{opened} };
	return callback_of($visit->{def}) ? 1 : 0;
}

sub takes_callback { my ($visit) = @_; return ends_by_callback($visit) || handlers_of($visit->{def}, 'callback') ? 1 : 0 }

# ---- ends ----

sub response
{
	my ($visit) = @_;
	return $visit->{event} if $visit->{has_callback} && $visit->{event};
	return ($visit->{has_callback} ? $visit->{callback} : $visit->{local} // $visit->{reply}) // {};
}

# What others are told of that: a reply that is not kept is at hand in its visit alone.
sub told
{
	my ($visit) = @_;
	my $def = $visit->{def};
	my $forgets = exists $def->{keep_reply} && !$def->{keep_reply} && !$visit->{has_callback};
	return $forgets ? {} : response($visit);
}

sub finish
{
	my ($self, $visit, $outcome) = @_;
	$visit->{outcome} = $outcome;
	delete @$visit{grep { !/^(id|step|def|outcome|effects|sn|scope|item|claimants|given_to|done_by|fetches)$/ } keys %$visit};
	$visit->{late} = {};
	$visit->{clocks} = {};
	$self->gives_way($visit);
}

# $caught of those that a visit hands over to: of its result, if it has one; its error, or its name; and of the event that interrupted
# it, or ended its wait.
sub handed
{
	my ($visit, $fault, $result, $outcome) = @_;
	my $event = $visit->{has_callback} && ($outcome // '') =~ /FAILED|SYSTEM_ERROR/ ? $visit->{event} // $visit->{callback} : $visit->{happened};
	return [ $result && $result->{n} // 0, $fault // $visit->{step}, ($event // {})->{n} // 0 ];
}

# $caught is what a scope was interrupted for, if it was.
sub hand_over
{
	my ($self, $visit, $outcome, $fault, $handler, $caught) = @_;
	my $token = token($visit);
	$caught //= handed($visit, $fault, told($visit), $outcome);
	$self->save_event($visit, $handler, { n => $caught->[2], kind => kind_of($handler) }) if $handler->{save};
	$self->finish($visit, $outcome);
	$self->enter($token, $caught, Graph::names($handler->{next}));
}

sub catcher
{
	my ($visit, $outcome, $code) = @_;
	for my $handler (grep { $_->{on} } @{ $visit->{def}{catch} // [] })
	{
		my @on = ref $handler->{on} ? @{ $handler->{on} } : $handler->{on};
		return $handler if grep { $_ eq '*' || $_ eq $outcome || $_ eq $code } @on;
	}
	return undef;
}

# Steps that it leads to; undef if none of its conditions is true.
sub way
{
	my ($self, $visit) = @_;
	my $def = $visit->{def};
	return [] if is_item($visit);
	return [ Graph::names($visit->{accepted}{next}) ] if $visit->{accepted} && $visit->{accepted}{next};
	my $is_true = sub { return $_[0] eq '$.v == ' . ($self->field($visit, 'v') // 'null') };
	if ($def->{choose})
	{
		my ($branch) = grep { !$_->{when} || $is_true->($_->{when}) } @{ $def->{choose} };
		return $branch ? [ Graph::names($branch->{next}) ] : undef;
	}
	my @conditions = grep { ref } Graph::listed($def->{next});
	return [ $self->{graph}->own_targets($visit->{step}) ] unless @conditions;
	my @taken = map { ref $_ ? $_->{when} && $is_true->($_->{when}) ? Graph::listed($_->{next}) : () : $_ } Graph::listed($def->{next});
	@taken = map { Graph::listed($_->{else}) } grep { exists $_->{else} } @conditions unless @taken;
	return @taken ? \@taken : undef;
}

# Of items that are done in the same moment the others may be done before the first of them changes anything.
sub pass
{
	my ($self, $visit) = @_;
	my $whole = is_item($visit) && $self->scope_of($visit);
	return $self->called_back($visit) unless $whole && (defined each_of($whole)->{until} || $visit->{accepted});
	@$visit{qw(state leaving)} = ('waiting', 1);
}

# Nothing is saved by what cannot go on.
sub success
{
	my ($self, $visit, $skipped) = @_;
	my $def = $visit->{def};
	my $response = response($visit);
	my ($caught, $token) = ($visit->{caught}, token($visit));
	return $self->bad($visit, 'FAILED', 'FAILED') if $def->{success} && !$skipped && !$response->{ok};
	my $way = $self->way($visit);
	return $self->bad($visit, 'SYSTEM_ERROR', 'choose') unless $way;
	$self->change($visit, save => sub { $response->{n} // 0 });
	$self->save_event($visit, $visit->{accepted}, $visit->{event}) if $visit->{accepted} && $visit->{event};
	$self->collect($visit) if is_whole($visit);
	my $given = given($visit);
	my $told = $visit->{has_callback} ? $visit->{event} // $visit->{callback} : $visit->{happened};
	my $known = told($visit);
	$self->finish($visit, 'SUCCESS');
	my $end = $def->{end};
	return $self->enter($token, $caught, @$way) if @$way;
	$self->path_ends($token, 'reached_end');
	return $self->end_item($token, $visit->{item}, $given) if is_item($visit);
	return unless $end;
	if    ($end eq 'scope') { $self->will_end('close', $self->scope_of($token)) }
	elsif (ref $end eq 'HASH' && $end->{error}) { $self->throw($token, $end->{error}, [ $known->{n} // 0, $end->{error}, ($told // {})->{n} // 0 ]) }
	elsif (ref $end eq 'HASH')                  { $self->will_end('aborted') }
}

# What a scope that is ending does not catch is over.
sub bad
{
	my ($self, $visit, $outcome, $code) = @_;
	my $handler = catcher($visit, $outcome, $code);
	return $self->hand_over($visit, $outcome, $code, $handler) if $handler;
	my ($scope, $its_handler) = $self->catcher_around($visit, $outcome, $code);
	if ($scope)
	{
		my $caught = handed($visit, $code, told($visit), $outcome);
		$self->finish($visit, $outcome);
		$self->will_end('interrupt', $scope, $its_handler, $caught) if ref $scope;
	}
	elsif ($visit->{step} eq $Graph::PROCESS)
	{
		$self->finish($visit, $outcome);
		$self->will_end('aborted');
	}
	elsif ($self->is_ending($visit) && !$visit->{def}{ignore_cancel}) { $self->finish($visit, $outcome) }
	else
	{
		$visit->{state} = 'incident';
		$visit->{clocks} = {};
		delete @$visit{qw(asked sent arriving statement cancelling handler handed has_callback passed ending succeeds accepted event happened opened left_out leaving due task work)};
		$self->gives_way($visit);
	}
}

sub called_back
{
	my ($self, $visit) = @_;
	return defined $visit->{error_code} ? $self->bad($visit, 'FAILED', $visit->{error_code}) : $self->success($visit, $visit->{skipped});
}

# ---- interruptions ----

sub finish_cancelled
{
	my ($self, $visit, $for_good) = @_;
	my $moved = $visit->{moved};
	my $handler = $for_good || $moved ? undef : catcher($visit, 'CANCELLED', 'CANCELLED');
	return $self->hand_over($visit, 'CANCELLED', 'CANCELLED', $handler) if $handler;
	$self->finish($visit, 'CANCELLED');
	return if $moved;
	$self->path_ends($visit, 'by_hand');
	# the instance is called off with its process, and so is what the handlers of that have begun
	$self->will_end('aborted') if $visit->{step} eq $Graph::PROCESS;
}

# The outside is asked to stop, if it was asked to do something and there is a way.
sub interrupt
{
	my ($self, $visit, $outcome, $handler) = @_;
	return $self->interrupt_scope($visit, $outcome, $handler) if is_begun_scope($visit);
	my $asks = $visit->{def}{http} && $visit->{def}{cancel} && !$visit->{standing};
	drop_offers($visit);
	delete $visit->{done_by} if $visit->{state} eq 'incident' && !$visit->{happened};
	@$visit{qw(cancelling handler told_to_stop)} = ($outcome, $handler, $asks);
	$visit->{clocks} = {};
	return $visit->{state} = 'cancelling' if $visit->{child};
	return $self->conclude($visit) unless $asks && $visit->{state} =~ /calling|retrying|waiting/;
	if ($visit->{asked}) { $visit->{state} = 'cancelling' }
	else                 { $self->ask($visit, 'cancelling', $visit->{state} eq 'waiting' ? 'cancel' : 'nothing') }
}

sub conclude
{
	my ($self, $visit) = @_;
	my ($outcome, $handler, $caught) = delete @$visit{qw(cancelling handler handed)};
	if    ($handler) { $self->hand_over($visit, 'CANCELLED', 'INTERRUPTED', $handler, $caught) }
	elsif ($outcome eq 'SUCCESS')   { $self->called_back($visit) }
	elsif ($outcome eq 'CANCELLED') { $self->finish_cancelled($visit) }
	else                            { $self->bad($visit, $outcome, $outcome) }
}

sub cancel_answered
{
	my ($self, $visit) = @_;
	delete @$visit{qw(asked sent)};
	return $self->conclude($visit) if $visit->{has_callback} || $visit->{cancelling} eq 'DIED' || !ends_by_callback($visit);
	$visit->{clocks}{confirm} = 1 if StepMaker::is_soon($visit->{def}{cancel}{timeout});
}

# What lives is cancelled, but steps that ignore it, and what the outside has ended already; the second time incidents.
sub stop
{
	my ($self, $status) = @_;
	my $again = $self->{reason};
	$self->{reason} //= $status;
	delete $self->{suspended};
	for my $visit ($self->living)
	{
		next if $visit->{outcome} || ($again ? $visit->{state} ne 'incident' : defined $visit->{scope} || $visit->{def}{ignore_cancel});
		next if $visit->{state} eq 'cancelling';
		if ($visit->{has_callback}) { $self->leave_to_its_end($visit) }
		else                        { $self->interrupt($visit, 'CANCELLED') }
	}
}

# ---- what becomes of what it does ----

# A failed attempt is another one's turn, or the end.
sub attempt_failed
{
	my ($self, $visit, $code, $retryable, $body) = @_;
	my $retry = $visit->{def}{retry} // $self->{retry};
	my $open = !$visit->{has_callback} || $self->acts_first($visit);
	if (!$open || $visit->{attempt} > $retry->{max} || !($retry->{on} ? grep { $_ eq $code } @{ $retry->{on} } : $retryable))
	{
		return $self->called_back($visit) if $visit->{has_callback};
		$visit->{reply} = $body;
		return $self->bad($visit, 'SYSTEM_ERROR', $code);
	}
	$visit->{fault} = $code;
	$visit->{state} = 'retrying';
	$visit->{clocks}{pause} = 1 if StepMaker::is_soon($retry->{delay});
}

sub replied
{
	my ($self, $visit, $value, $body) = @_;
	$visit->{reply} = $body;
	delete $visit->{fault};
	$self->change($visit, save_reply => sub { $value });
	return $visit->{has_callback} ? $self->called_back($visit) : $self->open_waits($visit, $value);
}

# A statement, or NOTIFY. What it does itself to its own instance is part of it.
sub run
{
	my ($self, $visit) = @_;
	my $sql = $visit->{def}{sql} // '';
	delete $visit->{statement};
	$visit->{attempt}++;
	return $self->attempt_failed($visit, '22012', 0) if $sql =~ m{ / };
	return $self->attempt_failed($visit, 'template', 0) if $visit->{def}{notify} && $visit->{def}{notify}{payload} =~ /missing/;
	$self->{data}{v} = $1 if $sql =~ /"v": (\d)/;
	$visit->{effects}++ if $sql =~ /^INSERT/;
	if ($sql =~ /workflow.complete/)
	{
		$visit->{statement} = 1; # it runs while it is called back
		$self->callback($visit, { ok => 1, n => 6 });
		delete $visit->{statement};
	}
	my $n = $sql =~ /visit.index AS n/ ? $self->item_visit_around($visit)->{item} : 1;
	$self->replied($visit, 1, $sql ? { n => $n } : undef);
}

sub answer
{
	my ($self, $visit, $status, $body) = @_;
	if ($visit->{state} eq 'cancelling')
	{
		return $self->cancel_answered($visit) if $visit->{asked} eq 'cancel';
		$visit->{reply} = $body;
		$self->change($visit, save_reply => sub { $status }) if $status < 300;
		return $self->ask($visit, 'cancelling', 'cancel');
	}
	delete @$visit{qw(asked sent)};
	$visit->{attempt}++;
	return $self->attempt_failed($visit, $status, $status >= 500, $body) if $status >= 300;
	$self->replied($visit, $status, $body);
}

1;
