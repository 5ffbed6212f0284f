#
# Simulator/Called.pm
#		Steps that call another process: CallMaker.pm has those. Of what is called only that is known which its caller can see: whether it
#		lives, and what it ends with.
#
# A visit that has called something has `child`: {process, n, key, fresh, told, done}. n is what it gives when it is completed; key: its
# business key, which no other one that lives has; fresh: it has not begun; told: to end; done: it has ended, though its caller does not know
# yet, `completed` or `cancelled`, by somebody or, if it has a key, by itself.
#
package Simulator;

use strict;
use warnings;

use CallMaker;

sub begin_call
{
	my ($self, $visit) = @_;
	my $call = $visit->{def}{call};
	my $n = $call->{data}{n};
	$n = $self->worked_out($visit, $n) // $n;
	my $ends = CallMaker::ends($call->{process}, $call->{version});
	my $key = $self->key_of_child($visit);
	return $self->bad($visit, 'SYSTEM_ERROR', 'call') if !$ends || (defined $key && $self->lives_with($call->{process}, $key));
	@$visit{qw(state child)} = ('waiting', { process => $call->{process}, n => $n + ($ends->{adds} // 0), key => $key, fresh => 1 });
}

sub key_of_child
{
	my ($self, $visit) = @_;
	my ($text, $template) = ($visit->{def}{call}{business_key} // return undef) =~ /^(.*?)(\$\{.*\})?$/;
	return $text . ($template ? $self->worked_out($visit, $template) : '');
}

sub lives_with
{
	my ($self, $process, $key) = @_;
	my @children = grep { $_ && !$_->{done} } map { $_->{child} } $self->living;
	return scalar grep { $_->{process} eq $process && defined $_->{key} && $_->{key} eq $key } @children;
}

sub ends_of { my ($visit) = @_; return CallMaker::ends($visit->{child}{process}) }

# It begins when its caller rests, and has ended then if it waits for nothing.
sub begin_child
{
	my ($self, $visit) = @_;
	my $ends = ends_of($visit);
	return $self->child_is_over($visit, 'cancelled') if $visit->{child}{told} || $visit->{state} eq 'cancelling';
	$visit->{child} = { %{ $visit->{child} }, fresh => 0, escalates => $ends->{escalates} };
	$self->child_is_over($visit, $ends->{how}) if $ends->{at_once};
}

# Its key is free before its caller knows.
sub child_is_over
{
	my ($self, $visit, $how) = @_;
	return $self->child_ends($visit, $how) if !defined $visit->{child}{key} || $visit->{child}{done};
	$visit->{child} = { %{ $visit->{child} }, fresh => 0, done => $how };
}

# Is its end known, whoever has told it, and what it has called lives still? Its clocks go on, and it can be called off: it goes on
# with what was accepted when that has ended.
sub awaits_child { my ($visit) = @_; return $visit->{has_callback} && $visit->{child} && $visit->{state} eq 'waiting' }

sub tell_child
{
	my ($visit) = @_;
	$visit->{child} = { %{ $visit->{child} }, told => 1 } if $visit->{child};
}

# What its end, or what it sends before, may be next.
sub moves_of_child
{
	my ($visit) = @_;
	my $child = $visit->{child} // return;
	my $told = $child->{told} || $visit->{state} eq 'cancelling';
	return ([ 'child', 'escalates' ], $told ? [ 'child', 'cancelled' ] : ()) if $child->{escalates} && !$child->{done};
	return [ 'child', $child->{done} ] if $child->{done};
	return (ends_of($visit)->{by_itself} ? [ 'child', 'completed' ] : (), $told ? [ 'child', 'cancelled' ] : ());
}

sub child_goes_on
{
	my ($self, $visit, $what) = @_;
	return $self->child_is_over($visit, $what) if $what ne 'escalates';
	delete $visit->{child}{escalates} if $visit->{child} = { %{ $visit->{child} } };
	return if $visit->{state} eq 'cancelling' || ($self->is_ending($visit) && !$visit->{def}{ignore_cancel});
	$self->escalate($visit, 'X', { kind => 'escalation', n => 4, ok => 1 });
}

sub child_ends
{
	my ($self, $visit, $how) = @_;
	my $child = delete $visit->{child};
	my $given = { n => $child->{n}, ok => 1 };
	$visit->{attempt}++;
	if ($visit->{state} eq 'cancelling')
	{
		if ($how eq 'completed')
		{
			$visit->{reply} = $given;
			$self->change($visit, save_reply => sub { $given->{n} });
		}
		return $self->conclude($visit);
	}
	return $self->replied($visit, $given->{n}, $given) if $how eq 'completed';
	return $self->called_back($visit) if $visit->{has_callback};
	return $self->interrupt($visit, 'CANCELLED') if $how eq 'cancelled';
	$self->bad($visit, 'FAILED', $how);
}

# ---- from outside ----

sub waits_for_outside { my ($visit) = @_; my $child = $visit->{child}; return $child && !$child->{fresh} && !$child->{done} && !$child->{told} && $visit->{state} eq 'waiting' && ends_of($visit)->{outside} }

sub complete_child
{
	my ($self, $visit, $data) = @_;
	return '' unless $visit && !$visit->{outcome} && $visit->{child};
	$visit->{child} = { %{ $visit->{child} }, done => 'completed', n => $data->{n} };
	return 'true';
}

sub cancel_child
{
	my ($self, $visit) = @_;
	return '' unless $visit && !$visit->{outcome} && $visit->{child};
	$visit->{child} = { %{ $visit->{child} }, done => 'cancelled' };
	return 'true';
}

1;
