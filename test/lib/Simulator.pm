#
# Simulator.pm
#		What the model says of a process: where the tokens of an instance stand after each event. It knows nothing of how the
#		extension goes about it.
#
#   my $sim = Simulator->new($definition, { data });    has been started
#   $sim->complete($visit, { data }), ->fail($visit, $code, { data }), ->webhook($visit, { data }), ->heartbeat($visit),
#   ->retry($visit), ->skip($visit, { data }), ->cancel_visit($visit), ->move($visit, $step), ->set_data({ data }),
#   ->cancel, ->suspend, ->resume      each with the answer that it is given: true, false, or a SQLSTATE
#   $sim->reply($visit, $kind, $status, { body }), ->crash
#   $sim->moves       what can happen next by itself, as [name, number of visit, …];  $sim->go_on($move)
#   $sim->visits      in the order in which they were entered: { step, state, outcome, asked, effects, sn }; outcome if it has
#                     ended; asked: the request that is open, action or cancel
#   $sim->status, ->data, ->late, ->shown($serial_step)
#   $sim->copy, ->key: another one like it, and what tells it from others
#
# What goes on by itself is done by nobody here, since it may do so in any order, and before or after what comes from outside:
# Worlds.pm tries all of that. $visit may be undef where a serial number is of nothing that lives.
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
		retry  => $definition->{retry} // { max => 0 },
		data   => { %{ $definition->{data} // {} }, %{ $data // {} } },
		visits => [], late => 0 }, $class;
	$self->enter($definition->{steps}[0]{step});
	return $self;
}

# Visits that have ended do not change, once they have a number.
sub copy
{
	my ($self) = @_;
	return bless { %$self,
		data   => { %{ $self->{data} } },
		visits => [ map { $_->{outcome} && $_->{sn} ? $_ : { %$_, clocks => { %{ $_->{clocks} } } } } @{ $self->{visits} } ] }, ref $self;
}

sub flat
{
	my ($value) = @_;
	return '' unless defined $value;
	return join(' ', map { "$_=" . ($value->{$_} // '') } sort keys %$value) if ref $value eq 'HASH' && !exists $value->{step} && !exists $value->{next};
	return join(' ', map { flat($_) } @$value) if ref $value eq 'ARRAY';
	return $value;
}

sub key
{
	my ($self) = @_;
	return join("\n", map { flat($_) } @$self{qw(data late reason suspended)},
		map { my $visit = $_; [ map { "$_:" . ($_ eq 'clocks' ? join(' ', sort keys %{ $visit->{clocks} }) : flat($visit->{$_})) } sort keys %$visit ] } $self->visits);
}

sub visits { return @{ $_[0]{visits} } }
sub living { return grep { !$_->{outcome} } $_[0]->visits }
sub data   { return $_[0]{data} }
sub late   { return $_[0]{late} }

sub status
{
	my ($self) = @_;
	return $self->{reason} ? 'aborted' : 'completed' unless $self->living;
	return 'suspended' if $self->{suspended};
	return (grep { $_->{state} eq 'incident' } $self->living) ? 'failed' : 'active';
}

# Serial numbers that an attached row may show: of the oldest wait; of what lives at a certain step, though perhaps not before it waits.
sub shown
{
	my ($self, $serial_step) = @_;
	my @waits = grep { $_->{state} eq 'waiting' && takes_callback($_) && (!defined $serial_step || $_->{step} eq $serial_step) } $self->living;
	my @shown = defined $serial_step ? grep { $_->{step} eq $serial_step && $_->{state} ne 'incident' } $self->living : @waits;
	@shown = sort { ($a =~ /_(.*)/)[0] <=> ($b =~ /_(.*)/)[0] } map { $_->{sn} } @shown;
	return (defined $serial_step ? @shown : grep { defined } $shown[0]), @waits ? () : '';
}

# ---- tokens ----

sub enter
{
	my ($self, $name, $from, $caught) = @_;
	my $visit = { step => $name, def => $self->{step}{$name}, state => 'ready', attempt => 0, effects => 0, clocks => {},
		unbegun => $from ? $from->{unbegun} : 0, caught => $caught };
	push @{ $self->{visits} }, $visit;
	if ($self->{reason} && !$visit->{def}{ignore_cancel})
	{
		# handlers that lead in a circle of steps none of which begins lead nowhere
		return $self->finish_cancelled($visit, $visit->{unbegun}++ >= keys %{ $self->{step} });
	}
	$visit->{unbegun} = 0;
	$self->begin($visit) unless $self->{suspended} || $visit->{def}{async};
}

sub begin
{
	my ($self, $visit) = @_;
	my $def = $visit->{def};
	$visit->{attempt} = 0;
	delete @$visit{qw(reply callback error_code has_callback cancelling handler fault told_to_stop moved)};
	$visit->{clocks} = {};
	$visit->{clocks}{ $def->{timeout} eq $ProcessMaker::SOON{early} ? 'early' : 'timeout' } = 1 if ProcessMaker::is_soon($def->{timeout});
	$visit->{clocks}{ $_->{interrupt} // 1 ? 'instead' : 'beside' } = $_ for grep { $_->{after} } @{ $def->{catch} // [] };
	if    ($def->{http}) { $self->ask($visit, 'calling', 'action') }
	elsif ($def->{sql} || $def->{notify}) { @$visit{qw(state statement)} = ('calling', 1) }
	else
	{
		$self->change($visit, set => sub { $_[0] });
		$self->wait($visit);
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
		$self->{data}{$field} = $field =~ /^caught_/ ? $caught->[0] : $field =~ /^error_/ ? $caught->[1] : $value->($changes->{$field});
	}
}

# Due; whether it is under way nobody knows before it is there.
sub ask
{
	my ($self, $visit, $state, $kind) = @_;
	@$visit{qw(state asked)} = ($state, $kind);
	delete $visit->{sent};
}

sub wait
{
	my ($self, $visit, $status) = @_;
	my $wait = $visit->{def}{wait};
	return $self->success($visit) if !$wait || (ref $wait eq 'HASH' && $wait->{when} && $status != 202);
	$visit->{state} = 'waiting';
	if (ref $wait eq 'HASH' && $wait->{after}) { $visit->{clocks}{after} = 1 if ProcessMaker::is_soon($wait->{after}) }
	elsif ($visit->{def}{heartbeat}) { $visit->{clocks}{heartbeat} = 1 }
}

sub takes_callback
{
	my ($visit) = @_;
	my $wait = $visit->{def}{wait};
	return $wait && (ref $wait ne 'HASH' || $wait->{callback});
}

# ---- ends ----

sub response
{
	my ($visit) = @_;
	return ($visit->{has_callback} ? $visit->{callback} : $visit->{reply}) // {};
}

sub finish
{
	my ($self, $visit, $outcome) = @_;
	$visit->{outcome} = $outcome;
	delete @$visit{grep { !/^(step|def|outcome|effects|sn|unbegun)$/ } keys %$visit};
	$visit->{clocks} = {};
}

# $caught of those that a visit hands over to: of its result, if it has one; and its error, or its name.
sub handed
{
	my ($visit, $fault, $result) = @_;
	return [ $result && $result->{n} // 0, $fault // $visit->{step} ];
}

sub hand_over
{
	my ($self, $visit, $outcome, $fault, $handler) = @_;
	my $caught = handed($visit, $fault, response($visit));
	$self->finish($visit, $outcome);
	$self->enter($handler->{next}, $visit, $caught);
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
	my $response = response($visit);
	my $caught = $visit->{caught};
	return $self->bad($visit, 'FAILED', 'FAILED') if $def->{success} && !$skipped && !$response->{ok};
	$self->change($visit, save => sub { $response->{n} // 0 });
	$self->finish($visit, 'SUCCESS');
	if ($def->{choose})
	{
		my ($branch) = grep { !$_->{when} || $_->{when} eq "\$.v == $self->{data}{v}" } @{ $def->{choose} };
		$self->enter($branch->{next}, $visit, $caught);
	}
	elsif ($def->{next}) { $self->enter($def->{next}, $visit, $caught) }
	elsif (ref $def->{end} eq 'HASH') { $self->stop }
}

sub bad
{
	my ($self, $visit, $outcome, $code) = @_;
	my $handler = catcher($visit, $outcome, $code);
	if    ($handler) { $self->hand_over($visit, $outcome, $code, $handler) }
	elsif ($self->{reason} && !$visit->{def}{ignore_cancel}) { $self->finish($visit, $outcome) }
	else
	{
		$visit->{state} = 'incident';
		$visit->{clocks} = {};
		delete @$visit{qw(asked sent arriving statement cancelling handler has_callback)};
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
	$self->{reason} //= 1 unless $moved || $self->living;
}

# The outside is asked to stop, if it was asked to do something and there is a way.
sub interrupt
{
	my ($self, $visit, $outcome, $handler) = @_;
	my $asks = $visit->{def}{http} && $visit->{def}{cancel};
	@$visit{qw(cancelling handler told_to_stop)} = ($outcome, $handler, $asks);
	$visit->{clocks} = {};
	return $self->conclude($visit) unless $asks && $visit->{state} =~ /calling|retrying|waiting/;
	if ($visit->{asked}) { $visit->{state} = 'cancelling' }
	else                 { $self->ask($visit, 'cancelling', $visit->{state} eq 'waiting' ? 'cancel' : 'nothing') }
}

sub conclude
{
	my ($self, $visit) = @_;
	my ($outcome, $handler) = delete @$visit{qw(cancelling handler)};
	if    ($handler) { $self->hand_over($visit, 'CANCELLED', 'INTERRUPTED', $handler) }
	elsif ($outcome eq 'CANCELLED') { $self->finish_cancelled($visit) }
	else                            { $self->bad($visit, $outcome, $outcome) }
}

sub cancel_answered
{
	my ($self, $visit) = @_;
	delete @$visit{qw(asked sent)};
	return $self->conclude($visit) if $visit->{has_callback} || $visit->{cancelling} eq 'DIED' || !takes_callback($visit);
	$visit->{clocks}{confirm} = 1 if ProcessMaker::is_soon($visit->{def}{cancel}{timeout});
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
}

# ---- what goes on by itself ----

my %at = map { my ($n, $unit) = $ProcessMaker::SOON{$_} =~ /^([\d.]+) (\w+)$/; $_ => $n * ($unit eq 'ms' ? 1 : 1000) } keys %ProcessMaker::SOON;

# One clock after the other, unless they were not all set at once, or nobody has looked for a while. None waits for the answer of
# something that takes as long.
sub clocks
{
	my ($visit) = @_;
	my @clocks = sort { $at{$a} <=> $at{$b} } keys %{ $visit->{clocks} };
	return @clocks if $visit->{loose};
	return @clocks[ 0 .. ($#clocks < 0 ? -1 : 0) ];
}

sub moves_of
{
	my ($visit) = @_;
	my @moves = map { [ strike => $_ ] } clocks($visit);
	my $state = $visit->{state};
	return ([ 'begin' ]) if $state eq 'ready';
	push @moves, ['arrive'] if $visit->{arriving};
	push @moves, ['run']    if $visit->{statement};
	# a request that is due, and was perhaps never sent
	push @moves, ['unsent'] if ($visit->{asked} // '') =~ /action|nothing/ && !$visit->{sent} && ($visit->{has_callback} || $state eq 'cancelling');
	push @moves, ['happen'] if $visit->{has_callback} && !$visit->{asked};
	return @moves;
}

sub moves
{
	my ($self) = @_;
	my @moves;
	return if $self->{suspended};
	for my $i (0 .. $#{ $self->{visits} })
	{
		my $visit = $self->{visits}[$i];
		push @moves, map { [ $i, @$_ ] } moves_of($visit) unless $visit->{outcome};
	}
	return @moves;
}

sub go_on
{
	my ($self, $move) = @_;
	my ($i, $what, $clock) = @$move;
	my $visit = $self->{visits}[$i];
	if    ($what eq 'strike') { $self->strike($visit, $clock) }
	elsif ($what eq 'begin')  { $visit->{has_callback} ? $self->called_back($visit) : $self->begin($visit) }
	elsif ($what eq 'arrive') { $self->answer($visit, @{ delete $visit->{arriving} }) }
	elsif ($what eq 'run')    { $self->run($visit) }
	elsif ($what eq 'unsent') { $visit->{state} eq 'cancelling' ? $self->ask($visit, 'cancelling', 'cancel') : $self->called_back($visit) }
	elsif ($what eq 'happen') { $visit->{state} eq 'cancelling' ? $self->conclude($visit) : $self->called_back($visit) }
	return $self;
}

sub strike
{
	my ($self, $visit, $clock) = @_;
	my $what = delete $visit->{clocks}{$clock};
	if    ($clock eq 'pause')     { $visit->{def}{http} ? $self->ask($visit, 'retrying', 'action') : ($visit->{statement} = 1) }
	elsif ($clock eq 'beside')    { $self->enter($what->{next}, $visit, handed($visit, $visit->{fault})) }
	elsif ($clock eq 'instead')   { $self->interrupt($visit, 'CANCELLED', $what) }
	elsif ($clock eq 'after')     { $self->success($visit) }
	elsif ($clock eq 'confirm')   { $self->conclude($visit) }
	elsif ($clock eq 'heartbeat') { $self->interrupt($visit, 'DIED') }
	elsif ($clock =~ /timeout|early/) { $self->interrupt($visit, 'TIMED_OUT') }
}

# A failed attempt is another one's turn, or the end.
sub attempt_failed
{
	my ($self, $visit, $code, $retryable, $body) = @_;
	my $retry = $visit->{def}{retry} // $self->{retry};
	return $self->called_back($visit) if $visit->{has_callback};
	if ($visit->{attempt} > $retry->{max} || !($retry->{on} ? grep { $_ eq $code } @{ $retry->{on} } : $retryable))
	{
		$visit->{reply} = $body;
		return $self->bad($visit, 'SYSTEM_ERROR', $code);
	}
	$visit->{fault} = $code;
	$visit->{state} = 'retrying';
	$visit->{clocks}{pause} = 1 if ProcessMaker::is_soon($retry->{delay});
}

sub replied
{
	my ($self, $visit, $value, $body) = @_;
	$visit->{reply} = $body;
	delete $visit->{fault};
	$self->change($visit, save_reply => sub { $value });
	return $visit->{has_callback} ? $self->called_back($visit) : $self->wait($visit, $value);
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
	$self->replied($visit, 1, $sql ? { n => 1 } : undef);
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

# ---- events ----

# The visit has ended, or is as good as that. Its clocks are gone, though it may still stand.
sub callback
{
	my ($self, $visit, $data, $code, $by_hand) = @_;
	my $incident = $visit && !$visit->{outcome} && $visit->{state} eq 'incident';
	return $self->too_late if !$visit || $visit->{outcome} || $visit->{has_callback};
	return '55000' unless $incident || takes_callback($visit);
	return $self->too_late if $incident && ($visit->{told_to_stop} || (!$by_hand && has_been_called_back($visit)));

	$visit->{clocks} = {} unless $visit->{state} eq 'cancelling';
	$visit->{has_callback} = 1;
	@$visit{qw(callback error_code)} = ($data, $code);
	$visit->{state} = 'ready' if $incident;
	return 'true' if $self->{suspended} || $visit->{asked} || $visit->{statement};
	if    ($visit->{state} eq 'cancelling') { $self->conclude($visit) }
	elsif ($incident || $visit->{state} eq 'waiting') { $self->called_back($visit) }
	return 'true';
}

sub has_been_called_back { return defined $_[0]{callback} || defined $_[0]{error_code} }

sub too_late { $_[0]{late}++; return 'false' }

sub complete { my ($self, $visit, $data) = @_; return $self->callback($visit, $data, undef, 1) }
sub fail     { my ($self, $visit, $code, $data) = @_; return $self->callback($visit, $data, $code, 1) }
sub webhook  { my ($self, $visit, $data) = @_; return $self->callback($visit, $data) }

sub heartbeat
{
	my ($self, $visit) = @_;
	return 'false' if !$visit || $visit->{outcome} || $visit->{has_callback} || $visit->{state} eq 'cancelling';
	return 'false' if $self->{reason} && !$visit->{def}{ignore_cancel};
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
	$self->stop;
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
	return 'false' unless can_be_interrupted($visit);
	$self->interrupt($visit, 'CANCELLED');
	return 'true';
}

# The token goes on elsewhere, whatever its handlers would do.
sub move
{
	my ($self, $visit, $to) = @_;
	return 'false' if !$visit || $visit->{outcome};
	return '55000' if $self->{suspended} || $self->{reason} || !can_be_interrupted($visit);
	my $caught = $visit->{caught};
	$visit->{moved} = 1;
	$self->interrupt($visit, 'CANCELLED');
	$self->enter($to, undef, $caught);
	return 'true';
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
	$self->begin($visit) if $answer eq 'true';
	return $answer;
}

sub skip
{
	my ($self, $visit, $data) = @_;
	my $answer = $self->mends($visit);
	return $answer if $answer ne 'true';
	@$visit{qw(has_callback callback)} = (1, $data);
	delete $visit->{error_code};
	$self->success($visit, 1);
	return $answer;
}

sub suspend
{
	my ($self) = @_;
	return 'false' if $self->{suspended} || !$self->living;
	$self->{suspended} = 1;
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

# Requests under way are lost. They are sent again, unless nobody needs to know any more.
sub crash
{
	my ($self) = @_;
	delete @$_{qw(sent arriving)} for $self->living;
	return '';
}

1;
