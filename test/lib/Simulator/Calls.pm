#
# Simulator/Calls.pm
#		What comes from outside: callbacks, replies, what callers and operators want.
#
package Simulator;

use strict;
use warnings;

# The visit has ended, or is as good as that. Its clocks are gone, though it may still stand.
sub callback
{
	my ($self, $visit, $data, $code, $by_hand) = @_;
	my $incident = $visit && !$visit->{outcome} && $visit->{state} eq 'incident';
	return $self->too_late if !$visit || $visit->{outcome} || $visit->{has_callback};
	return '55000' unless $incident ? leads_on($visit->{def}) : takes_callback($visit);
	my $ends = ends_by_callback($visit);
	return $self->too_late if $incident && ($visit->{told_to_stop} || (!$by_hand && (has_been_called_back($visit) || (takes_callback($visit) && !$ends))));
	return defined $code ? '55000' : $self->callback_for_handler($visit, $data) unless $incident || $ends;
	return $self->too_late if !$incident && $self->is_interrupted_soon($visit);

	$visit->{has_callback} = 1;
	drop_offers($visit);
	$visit->{clocks} = {} unless $visit->{state} eq 'cancelling' || awaits_child($visit);
	$self->by_callback($visit, $data);
	@$visit{qw(callback error_code)} = ($data, $code);
	$visit->{state} = 'ready', delete $visit->{done_by} if $incident;
	return 'true' if $self->{suspended} || $visit->{asked} || $visit->{statement} || $visit->{child};
	if    ($visit->{state} eq 'cancelling') { $self->conclude($visit) }
	elsif ($incident || $visit->{state} eq 'waiting') { $self->called_back($visit) }
	return 'true';
}

sub callback_for_handler
{
	my ($self, $visit, $data) = @_;
	my ($handler) = handlers_of($visit->{def}, 'callback');
	return $self->too_late unless $self->may_begin_handlers($visit);
	return $self->begin_handler($visit, $handler, { kind => 'callback', %{ $data // {} } }) // $self->too_late;
}

# A callback, a task or work: it does not overtake what is on its way to the instance. Returns undef if it is too late.
sub begin_handler
{
	my ($self, $visit, $handler, $event) = @_;
	my $posts = $self->{posts} // [];
	return undef if $self->is_interrupted_soon($visit);
	delete $visit->{ $event->{kind} eq 'topic' ? 'work' : $event->{kind} };
	if ($self->{suspended} || @$posts || grep { $_->{arriving} } $self->living) { $self->{posts} = [ @$posts, { callback => $visit->{id}, event => $event } ] }
	else                                                                        { $self->happen($visit, $handler, role_of($handler), $event) }
	return 'true';
}

sub handler_of { my ($visit, $kind) = @_; return (handlers_of($visit->{def}, $kind))[0] }

# Has one come while the instance is suspended that will interrupt it?
sub is_interrupted_soon
{
	my ($self, $visit) = @_;
	return 0 if !$self->{suspended} || $visit->{state} eq 'cancelling';
	my @kept = grep { defined $_->{callback} && $_->{callback} == $visit->{id} } @{ $self->{posts} // [] };
	return scalar grep { role_of(handler_of($visit, $_->{event}{kind})) eq 'instead' } @kept;
}

sub may_begin_handlers
{
	my ($self, $visit) = @_;
	return takes_events($visit) && (!$self->is_ending($visit) || $visit->{def}{ignore_cancel});
}

sub has_been_called_back { return defined $_[0]{callback} || defined $_[0]{error_code} }

sub too_late { $_[0]{late}++; return 'false' }

sub complete { my ($self, $visit, $data, $by) = @_; return $self->bring($visit, $data, undef, $by // {}) }
sub fail     { my ($self, $visit, $code, $data, $by) = @_; return $self->bring($visit, $data, $code, $by // {}) }
sub webhook  { my ($self, $visit, $data) = @_; return $self->callback($visit, $data) }

sub heartbeat
{
	my ($self, $visit) = @_;
	my $work = work_of($visit);
	return '55000' if $work && $work->{role} eq 'wait' && is_taken($work) && !ends_by_callback($visit);
	return $self->sign_of_life($visit);
}

sub sign_of_life
{
	my ($self, $visit) = @_;
	return 'false' if !$visit || $visit->{outcome};
	return '55000' if $visit->{state} ne 'incident' && ($visit->{def}{steps} || is_whole($visit) || $visit->{standing} || ($visit->{child} && !ends_by_callback($visit)));
	return 'false' if $visit->{has_callback} || $visit->{state} eq 'cancelling';
	return 'false' if $self->is_ending($visit) && !$visit->{def}{ignore_cancel};
	return 'false' if $visit->{state} eq 'incident' && ($visit->{told_to_stop} || has_been_called_back($visit));
	$visit->{loose} = 1;
	return 'true';
}

sub reply
{
	my ($self, $visit, $kind, $status, $body) = @_;
	$visit->{arriving} = [ $status, $body ], $visit->{sent} = 1 if $visit && !$visit->{outcome} && ($visit->{asked} // '') eq $kind;
	return '';
}

sub set_data
{
	my ($self, $data) = @_;
	return 'false' unless $self->living;
	$self->{data} = { %{ $self->{data} }, %$data };
	return 'true';
}

sub cancel
{
	my ($self) = @_;
	return 'false' unless $self->living;
	$self->stop('aborted');
	return 'true';
}

sub can_be_interrupted
{
	my ($visit) = @_;
	return $visit && !$visit->{outcome} && !$visit->{has_callback} && $visit->{state} ne 'cancelling';
}

sub cancel_visit
{
	my ($self, $visit) = @_;
	return $self->leave_action_out($visit) if $visit && !$visit->{outcome} && is_early($visit);
	my $known = $visit && !$visit->{outcome} && awaits_child($visit);
	return 'false' unless $known || can_be_interrupted($visit);
	$self->interrupt($visit, $known ? 'SUCCESS' : 'CANCELLED');
	return 'true';
}

# What was not begun of the action of a visit whose event came before it. A request may be under way; where that will be found out already it
# is too late.
sub leave_action_out
{
	my ($self, $visit) = @_;
	my $may_be_under_way = $visit->{def}{http} && $visit->{state} ne 'ready';
	return $may_be_under_way ? 'false' : 'true' unless $self->acts_first($visit);
	$visit->{clocks} = {};
	if ($may_be_under_way) { $visit->{left_out} = 1 }
	else                   { $self->called_back($visit) }
	return 'true';
}

# The token goes on elsewhere in its list, whatever its handlers would do; unless it comes too late for a join.
sub move
{
	my ($self, $visit, $to) = @_;
	return 'false' if !$visit || $visit->{outcome};
	return '55000' if is_item($visit);
	return '55000' if $self->{suspended} || $self->{reason} || !can_be_interrupted($visit);
	my ($caught, $token) = ($visit->{caught}, { %{ token($visit) }, unbegun => 0, to => $to });
	$visit->{moved} = 1;
	$self->interrupt($visit, 'CANCELLED');
	$self->enter($token, $caught, $to);
	my $def = $self->{graph}{step}{$to}{def};
	# where its scope is ending it does not come to the join
	return 'true' if $self->is_ending($token) && !$def->{ignore_cancel};
	return $def->{join} && $self->late_on_arrival($token)->{$to} ? 'false' : 'true';
}

sub mends
{
	my ($self, $visit) = @_;
	return 'false' if !$visit || $visit->{outcome};
	return '55000' if $self->{suspended} || $visit->{state} ne 'incident';
	return 'true';
}

sub retry
{
	my ($self, $visit) = @_;
	my $answer = $self->mends($visit);
	return $answer if $answer ne 'true';
	if    ($visit->{standing}) { $self->stand($visit) }
	elsif (is_left_to_an_executor($visit->{def}))
	{
		$self->prepare($visit);
		$visit->{clocks} = {};
	}
	else { $self->begin($visit) }
	return $answer;
}

sub skip
{
	my ($self, $visit, $data) = @_;
	my $answer = $self->mends($visit);
	return $answer if $answer ne 'true';
	return '55000' unless leads_on($visit->{def});
	@$visit{qw(has_callback callback)} = (1, $data);
	$self->by_callback($visit, $data);
	delete @$visit{qw(error_code done_by)};
	$self->success($visit, 1);
	return $answer;
}

sub suspend
{
	my ($self) = @_;
	return 'false' if $self->{suspended} || !$self->living;
	$self->{suspended} = 1;
	$self->{posts} = [ map { { held => 'perhaps', %$_ } } @{ $self->{posts} // [] } ];
	$_->{loose} = 1 for $self->living;
	return 'true';
}

sub resume
{
	my ($self) = @_;
	return 'false' unless $self->{suspended};
	delete $self->{suspended};
	return 'true';
}

# Requests under way are lost. They are sent again, unless nobody needs to know any more. What has come for a suspended instance may have
# been `stored`. It takes a while until clocks strike again.
sub crash
{
	my ($self, $stored) = @_;
	for my $visit ($self->living)
	{
		delete $visit->{sent};
		delete $visit->{arriving} unless $stored && $self->{suspended};
		$visit->{loose} = 1;
	}
	return '';
}

1;
