#
# Simulator.pm
#		What the model says of a process: where the tokens of an instance stand after each event. It knows nothing of how the
#		extension goes about it.
#
#   my $sim = Simulator->new($definition, { data });    has been started
#   $sim->reply($visit, $status, { body }), ->complete($visit, { data }), ->fail($visit, $code), ->beat($visit)
#   $sim->cancel, ->suspend, ->resume, ->cancel_visit($visit), ->retry($visit), ->skip($visit, { data }), ->crash
#   $sim->visits      in the order in which they were entered: { step, state, outcome, asked }; outcome if it has ended;
#                     asked: the request that is open, action or cancel
#   $sim->status, ->data
#
# Whatever goes on by itself, clocks that strike soon included, has happened when a method returns. Replies to a suspended
# instance count once it is resumed.
#
package Simulator;

use strict;
use warnings;

use ProcessMaker;

sub new
{
	my ($class, $definition, $data) = @_;
	my $self = bless {
		step   => { map { $_->{step} => $_ } @{ $definition->{steps} } },
		data   => { %{ $definition->{data} // {} }, %{ $data // {} } },
		visits => [], late => [] }, $class;
	$self->enter($definition->{steps}[0]{step});
	return $self->settle;
}

sub visits { return @{ $_[0]{visits} } }
sub living { return grep { !$_->{outcome} } $_[0]->visits }
sub data   { return $_[0]{data} }

sub status
{
	my ($self) = @_;
	return $self->{reason} ? 'aborted' : 'completed' unless $self->living;
	return 'suspended' if $self->{suspended};
	return (grep { $_->{state} eq 'incident' } $self->living) ? 'failed' : 'active';
}

# ---- tokens ----

sub enter
{
	my ($self, $name) = @_;
	my $visit = { step => $name, def => $self->{step}{$name}, attempt => 0 };
	push @{ $self->{visits} }, $visit;
	if ($self->{reason} && !$visit->{def}{ignore_cancel})
	{
		# handlers that lead in a circle of steps none of which begins lead nowhere
		return $self->finish_cancelled($visit, $self->{unbegun}++ >= keys %{ $self->{step} });
	}
	$self->{unbegun} = 0;
	$self->begin($visit);
}

sub begin
{
	my ($self, $visit) = @_;
	my $def = $visit->{def};
	$visit->{attempt} = 0;
	delete @$visit{qw(reply callback error_code has_callback cancelling handler state)};
	$visit->{clocks} = {};
	$visit->{clocks}{timeout} = 1 if ($def->{timeout} // '') eq $ProcessMaker::SOON{timeout};
	$visit->{clocks}{ $_->{interrupt} // 1 ? 'instead' : 'beside' } = $_ for grep { $_->{after} } @{ $def->{catch} // [] };
	if ($def->{http}) { $self->call($visit) }
	elsif ($def->{sql} && $def->{sql} =~ m{/})
	{
		$visit->{attempt}++;
		$self->bad($visit, 'SYSTEM_ERROR', '');
	}
	else
	{
		$visit->{attempt}++ if $def->{sql};
		$visit->{reply} = { n => 1 } if $def->{sql};
		$self->{data} = { %{ $self->{data} }, %{ $def->{set} } } if $def->{set};
		$self->wait($visit);
	}
}

sub call
{
	my ($self, $visit) = @_;
	@$visit{qw(state asked)} = ('calling', 'action');
}

sub wait
{
	my ($self, $visit, $status) = @_;
	my $wait = $visit->{def}{wait};
	return $self->success($visit) if !$wait || (ref $wait eq 'HASH' && $wait->{when} && $status != 202);
	$visit->{state} = 'waiting';
	if (ref $wait eq 'HASH' && $wait->{after})
	{
		$visit->{clocks}{after} = 1 if $wait->{after} eq $ProcessMaker::SOON{after};
	}
	elsif ($visit->{def}{heartbeat}) { $visit->{clocks}{heartbeat} = 1 }
}

sub takes_callback
{
	my ($visit) = @_;
	my $wait = $visit->{def}{wait};
	return $wait && (ref $wait ne 'HASH' || $wait->{callback});
}

# ---- ends ----

sub finish
{
	my ($self, $visit, $outcome) = @_;
	$visit->{outcome} = $outcome;
	delete @$visit{qw(state asked)};
	$visit->{clocks} = {};
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

sub success
{
	my ($self, $visit, $skipped) = @_;
	my $def = $visit->{def};
	my $response = $visit->{callback} // $visit->{reply} // {};
	return $self->bad($visit, 'FAILED', 'FAILED') if $def->{success} && !$skipped && !$response->{ok};
	$self->{data} = { %{ $self->{data} }, map { $_ => $response->{n} // 0 } keys %{ $def->{save} // {} } };
	$self->finish($visit, 'SUCCESS');
	if ($def->{choose})
	{
		my ($branch) = grep { !$_->{when} || $_->{when} eq "\$.v == $self->{data}{v}" } @{ $def->{choose} };
		$self->enter($branch->{next});
	}
	elsif ($def->{next}) { $self->enter($def->{next}) }
	elsif (ref $def->{end} eq 'HASH') { $self->stop }
}

sub bad
{
	my ($self, $visit, $outcome, $code) = @_;
	my $handler = catcher($visit, $outcome, $code);
	if ($handler)
	{
		$self->finish($visit, $outcome);
		$self->enter($handler->{next});
	}
	elsif ($self->{reason} && !$visit->{def}{ignore_cancel}) { $self->finish($visit, $outcome) }
	else
	{
		$visit->{state} = 'incident';
		$visit->{clocks} = {};
		delete @$visit{qw(asked cancelling handler has_callback)};
	}
}

sub called_back
{
	my ($self, $visit) = @_;
	return defined $visit->{error_code} ? $self->bad($visit, 'FAILED', $visit->{error_code}) : $self->success($visit);
}

# ---- interruptions ----

sub finish_cancelled
{
	my ($self, $visit, $for_good) = @_;
	my $handler = $for_good ? undef : catcher($visit, 'CANCELLED', 'CANCELLED');
	$self->finish($visit, 'CANCELLED');
	return $self->enter($handler->{next}) if $handler;
	$self->{reason} //= 1 unless $self->living;
}

# The outside is asked to stop, if it was asked to do something and there is a way.
sub interrupt
{
	my ($self, $visit, $outcome, $handler) = @_;
	$self->{unbegun} = 0;
	my $asks = $visit->{def}{http} && $visit->{def}{cancel} && $visit->{state} =~ /calling|retrying|waiting/;
	@$visit{qw(cancelling handler)} = ($outcome, $handler);
	$visit->{clocks} = {};
	return $self->conclude($visit) unless $asks;
	$visit->{asked} = 'cancel' unless $visit->{asked};
	$visit->{state} = 'cancelling';
}

sub conclude
{
	my ($self, $visit) = @_;
	my ($outcome, $handler) = delete @$visit{qw(cancelling handler)};
	if ($handler)
	{
		$self->finish($visit, 'CANCELLED');
		$self->enter($handler->{next});
	}
	elsif ($outcome eq 'CANCELLED') { $self->finish_cancelled($visit) }
	else                            { $self->bad($visit, $outcome, $outcome) }
}

sub cancel_answered
{
	my ($self, $visit) = @_;
	return $visit->{asked} = 'cancel' if $visit->{asked} eq 'action';
	delete $visit->{asked};
	return $self->conclude($visit) if $visit->{has_callback} || $visit->{cancelling} eq 'DIED' || !takes_callback($visit);
	$visit->{clocks}{confirm} = 1 if $visit->{def}{cancel}{timeout} eq $ProcessMaker::SOON{confirm};
}

# What lives is cancelled, but steps that ignore it, and what the outside has ended already.
sub stop
{
	my ($self) = @_;
	my $again = $self->{reason};
	$self->{reason} = 1;
	delete $self->{suspended};
	for my $visit ($self->living)
	{
		next if $visit->{outcome} || ($again ? $visit->{state} ne 'incident' : $visit->{def}{ignore_cancel});
		next if $visit->{state} eq 'cancelling' || $visit->{has_callback};
		$self->interrupt($visit, 'CANCELLED');
	}
	$self->take_up;
}

# ---- clocks ----

my @order = sort { ($ProcessMaker::SOON{$a} =~ /ms/ ? 1 : 1000) * ($ProcessMaker::SOON{$a} =~ /([\d.]+)/)[0]
	  <=> ($ProcessMaker::SOON{$b} =~ /ms/ ? 1 : 1000) * ($ProcessMaker::SOON{$b} =~ /([\d.]+)/)[0] } keys %ProcessMaker::SOON;

sub strike
{
	my ($self, $visit, $clock) = @_;
	my $what = delete $visit->{clocks}{$clock};
	if    ($clock eq 'pause')     { $visit->{asked} = 'action' }
	elsif ($clock eq 'beside')    { $self->enter($what->{next}) }
	elsif ($clock eq 'instead')   { $self->interrupt($visit, 'CANCELLED', $what) }
	elsif ($clock eq 'after')     { $self->success($visit) }
	elsif ($clock eq 'confirm')   { $self->conclude($visit) }
	elsif ($clock eq 'heartbeat') { $self->interrupt($visit, 'DIED') }
	elsif ($clock eq 'timeout')   { $self->interrupt($visit, 'TIMED_OUT') }
}

sub settle
{
	my ($self) = @_;
	return $self if $self->{suspended};
  AGAIN:
	for my $clock (@order)
	{
		for my $visit ($self->living)
		{
			next unless $visit->{clocks}{$clock};
			$self->strike($visit, $clock);
			goto AGAIN;
		}
	}
	return $self;
}

# ---- events ----

sub save_reply
{
	my ($self, $visit, $status) = @_;
	$self->{data}{$_} = $status for keys %{ $visit->{def}{save_reply} // {} };
}

sub answer
{
	my ($self, $visit, $status, $body) = @_;
	if ($visit->{state} eq 'cancelling')
	{
		$self->save_reply($visit, $status) if $visit->{asked} eq 'action' && $status < 300;
		return $self->cancel_answered($visit);
	}
	delete $visit->{asked};
	$visit->{attempt}++;
	if ($status >= 300)
	{
		return $self->called_back($visit) if $visit->{has_callback};
		my $retry = $visit->{def}{retry} // { max => 0 };
		return $self->bad($visit, 'SYSTEM_ERROR', '') if $status < 500 || $visit->{attempt} > $retry->{max};
		$visit->{state} = 'retrying';
		$visit->{clocks}{pause} = 1 if $retry->{delay} eq $ProcessMaker::SOON{pause};
		return;
	}
	$visit->{reply} = $body;
	$self->save_reply($visit, $status);
	return $visit->{has_callback} ? $self->called_back($visit) : $self->wait($visit, $status);
}

# The visit has ended, or is as good as that.
sub take_callback
{
	my ($self, $visit, $data, $code) = @_;
	$visit->{has_callback} = 1;
	@$visit{qw(callback error_code)} = ($data, $code);
	return if $self->{suspended} || $visit->{asked};
	return $self->conclude($visit) if $visit->{state} eq 'cancelling';
	$self->called_back($visit);
}

# Its clocks are gone, though it may still stand.
sub callback
{
	my ($self, $visit, $data, $code) = @_;
	return 0 if $visit->{has_callback};
	$visit->{clocks} = {} unless $visit->{state} eq 'cancelling';
	$self->take_callback($visit, $data, $code);
	$self->settle;
	return 1;
}

sub complete { my ($self, $visit, $data) = @_; return $self->callback($visit, $data) }
sub fail     { my ($self, $visit, $code) = @_; return $self->callback($visit, undef, $code) }

sub reply
{
	my ($self, $visit, $status, $body) = @_;
	return push @{ $self->{late} }, [ @_[ 1 .. 3 ] ] if $self->{suspended};
	$self->answer($visit, $status, $body);
	$self->settle;
}

sub cancel { my ($self) = @_; $self->stop; $self->settle }

sub cancel_visit
{
	my ($self, $visit) = @_;
	$self->interrupt($visit, 'CANCELLED') unless $visit->{has_callback};
	$self->settle;
}

sub retry { my ($self, $visit) = @_; $self->begin($visit); $self->settle }

sub skip
{
	my ($self, $visit, $data) = @_;
	$visit->{callback} = $data;
	$self->success($visit, 1);
	$self->settle;
}

sub suspend { $_[0]{suspended} = 1 }

# What was kept while it was suspended counts now: replies before callbacks.
sub take_up
{
	my ($self) = @_;
	$self->answer(@$_) for splice @{ $self->{late} };
	for my $visit (grep { $_->{has_callback} && !$_->{asked} } $self->living)
	{
		$visit->{state} eq 'cancelling' ? $self->conclude($visit) : $self->called_back($visit);
	}
}

sub resume { my ($self) = @_; delete $self->{suspended}; $self->take_up; $self->settle }

# Requests under way are lost. They are sent again, unless nobody needs to know any more.
sub crash
{
	my ($self) = @_;
	for my $visit (grep { ($_->{asked} // '') eq 'action' } $self->living)
	{
		next if $visit->{outcome};
		if ($visit->{state} eq 'cancelling') { $visit->{asked} = 'cancel' }
		elsif ($visit->{has_callback})
		{
			delete $visit->{asked};
			$self->called_back($visit) unless $self->{suspended};
		}
	}
	$self->settle;
}

1;
