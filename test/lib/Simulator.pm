#
# Simulator.pm
#		What the model says of a process: where the tokens of an instance stand after each event. It knows nothing of how the
#		extension goes about it.
#
#   my $sim = Simulator->new($definition, { data });    has been started
#   $sim->complete($visit, { data }, $by), ->fail($visit, $code, { data }, $by), ->webhook($visit, { data }), ->heartbeat($visit),
#   ->retry($visit), ->skip($visit, { data }), ->cancel_visit($visit), ->move($visit, $step), ->set_data({ data }),
#   ->cancel, ->suspend, ->resume      each with the answer that it is given: true, false, or a SQLSTATE
#   $sim->claim($visit, $by, $person), ->unclaim($visit, $by), ->reassign($visit, $by, $role), ->fetch($lock, @visits), ->release($visit, $fetch), …
#                     likewise; $by: who calls, and with which lock (Offers.pm)
#   $sim->send_message({ name, key, data, … }, $later), ->send_signal($name, { data })
#   $sim->reply($visit, $kind, $status, { body }), ->crash
#   $sim->call_later($in_order, $targets, $event), ->calls     what is called with mode => 'async' (Later.pm)
#   $sim->choices     what is to be done before anybody sees it, in any order: closures;  $sim->settled: there is nothing
#   $sim->moves       what can happen next by itself, as [name, number of visit, …];  $sim->go_on($move)
#   $sim->visits      in the order in which they were entered: { step, scope, item, state, outcome, asked, effects, sn }; outcome if it
#                     has ended; scope: the visit in which it lives, by its place; item: the index of the item for which it is; asked: the
#                     request that is open, action or cancel
#   $sim->status, ->data, ->late, ->shown($serial_step)
#   $sim->copy, ->key: another one like it, and what tells it from others
#
# What goes on by itself is done by nobody here, since it may do so in any order, and before or after what comes from outside:
# Worlds.pm tries all of that. $visit may be undef where a serial number is of nothing that lives.
#
# In Simulator/: Tokens.pm (forks, joins, scopes), Items.pm (lists of items), Visits.pm (what a visit does, and how it ends), Events.pm
# (what it waits for, and what happens to it meanwhile), Messages.pm (what is on its way to it), Offers.pm (tasks and work), Called.pm (what it has called),
# Calls.pm (what comes from outside), Later.pm (calls that are carried out later).
#
package Simulator;

use strict;
use warnings;

use Graph;
use StepMaker;
use Simulator::Called;
use Simulator::Calls;
use Simulator::Events;
use Simulator::Items;
use Simulator::Later;
use Simulator::Messages;
use Simulator::Offers;
use Simulator::Tokens;
use Simulator::Visits;

sub new
{
	my ($class, $definition, $data) = @_;
	my $self = bless {
		graph  => Graph->new($definition),
		retry  => $definition->{retry} // { max => 0 },
		data   => { %{ $definition->{data} // {} }, %{ $data // {} } },
		visits => [], on_their_way => [], ends => [], late => 0 }, $class;
	$self->enter({ late => {}, unbegun => 0 }, undef, $self->{graph}{start});
	return $self;
}

# Visits that have ended do not change, once they have a number. What hangs on a visit is never changed, but replaced.
sub copy
{
	my ($self) = @_;
	return bless { %$self,
		data         => { %{ $self->{data} } },
		on_their_way => [ @{ $self->{on_their_way} } ],
		ends         => [ @{ $self->{ends} } ],
		visits       => [ map { $_->{outcome} && $_->{sn} ? $_ : { %$_, clocks => { %{ $_->{clocks} } } } } @{ $self->{visits} } ] }, ref $self;
}

sub flat
{
	my ($value) = @_;
	return '' unless defined $value;
	return join(' ', map { "$_=" . flat($value->{$_}) } sort keys %$value) if ref $value eq 'HASH' && !exists $value->{step} && !exists $value->{next};
	return join(' ', map { ref $_ ? flat($_) : $_ // '' } @$value) if ref $value eq 'ARRAY';
	return $value;
}

# Names that do not depend on the order in which visits of different steps were entered.
sub names_of_visits
{
	my ($self) = @_;
	my %n;
	return map { my $name = $_->{step} . (defined $_->{item} ? "[$_->{item}]" : ''); "$name " . $n{$name}++ } $self->visits;
}

# Most of the time goes here.
my %no_part = map { $_ => 1 } qw(scope id def clocks);

sub key_of_visit
{
	my ($visit) = @_;
	return join(' ', @$visit{qw(outcome effects)}, $visit->{sn} // '', $visit->{done_by} // '', sort(keys %{ $visit->{claimants} // {} }), '-', sort keys %{ $visit->{given_to} // {} }) if $visit->{outcome};
	my $key = join(' ', sort keys %{ $visit->{clocks} });
	for (sort keys %$visit)
	{
		my $value = $visit->{$_};
		$key .= ref $value ? " $_:" . flat($value) : " $_:$value" if defined $value && !$no_part{$_};
	}
	return $key;
}

# Of what stands at joins it matters which has come first.
sub key
{
	my ($self) = @_;
	my @names = $self->names_of_visits;
	my $place = sub { return defined $_[0]{scope} ? " in $names[ $_[0]{scope} ]" : '' };
	return join("\n", map { flat($_) } @$self{qw(data late reason suspended reached_end by_hand answer)},
		(sort map { "$names[$_->{id}]" . $place->($_) . ' ' . key_of_visit($_) } $self->visits),
		(sort map { "to $_->{to}" . $place->($_) . ' ' . flat([ @$_{qw(item late unbegun caught)} ]) } @{ $self->{on_their_way} }),
		(map { join(' ', $_->[0], defined $_->[1] ? $names[ $_->[1] ] : '', map { flat($_) } @$_[ 2 .. $#$_ ]) } @{ $self->{ends} }),
		(map { $names[ $_->{id} ] } grep { $_->{standing} } $self->living),
		$self->key_of_events(\@names), $self->key_of_calls(\@names));
}

sub visits { return @{ $_[0]{visits} } }
sub living { return grep { !$_->{outcome} } $_[0]->visits }
sub data   { return $_[0]{data} }
sub late   { return $_[0]{late} }

sub status
{
	my ($self) = @_;
	return $self->{reason} // (!$self->{reached_end} && $self->{by_hand} ? 'aborted' : 'completed') unless $self->living;
	return 'suspended' if $self->{suspended};
	return (grep { $_->{state} eq 'incident' } $self->living) ? 'failed' : 'active';
}

sub is_outermost
{
	my ($self, $visit) = @_;
	return !defined $visit->{scope} || $self->{visits}[ $visit->{scope} ]{step} eq $Graph::PROCESS;
}

# Serial numbers that an attached row may show: of the oldest wait; of what lives at a certain step, though perhaps not before it waits.
sub shown
{
	my ($self, $serial_step) = @_;
	my @of_no_item = grep { !defined $_->{item} } $self->living;
	my @waits = grep { $_->{state} eq 'waiting' && !$_->{child} && ends_by_callback($_) && (defined $serial_step ? $_->{step} eq $serial_step : $self->is_outermost($_)) } @of_no_item;
	my @shown = defined $serial_step ? grep { $_->{step} eq $serial_step && $_->{state} ne 'incident' } @of_no_item : @waits;
	@shown = sort { ($a =~ /_(.*)/)[0] <=> ($b =~ /_(.*)/)[0] } map { $_->{sn} } @shown;
	return (defined $serial_step ? @shown : grep { defined } $shown[0]), @waits ? () : '';
}

# ---- what goes on by itself ----

# what repeats is named by how often it will
my %at = map { my ($n, $unit) = $StepMaker::SOON{$_} =~ /^([\d.]+) (\w+)$/; $_ => $n * ($unit eq 'ms' ? 1 : 1000) } keys %StepMaker::SOON;
$at{every1} = $at{every2} = $at{every};
$at{$_} = 0 for 'past', 'past beside', 'past instead';

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
	my ($self, $visit) = @_;
	my $ends = $visit->{has_callback} && !$self->acts_first($visit);
	my @moves = map { [ strike => $_ ], /every2/ ? [ strike => $_, 'late' ] : () } clocks($visit);
	my $state = $visit->{state};
	push @moves, ['begin'] if $state eq 'ready';
	push @moves, ['arrive'] if $visit->{arriving};
	push @moves, ['run']    if $visit->{statement};
	push @moves, moves_of_child($visit);
	push @moves, ['items']  if $visit->{due};
	# a request that is due, and was perhaps never sent
	push @moves, ['unsent'] if ($visit->{asked} // '') =~ /action|nothing/ && !$visit->{sent} && ($ends || $state eq 'cancelling');
	push @moves, ['happen'] if $ends && !$visit->{asked} && !$visit->{child};
	return @moves;
}

sub moves
{
	my ($self) = @_;
	my @moves = ($self->moves_of_events, $self->moves_of_calls);
	return @moves if $self->{suspended};
	for my $i (0 .. $#{ $self->{visits} })
	{
		my $visit = $self->{visits}[$i];
		push @moves, map { [ $i, @$_ ] } $self->moves_of($visit) unless $visit->{outcome};
	}
	return @moves;
}

sub go_on
{
	my ($self, $move) = @_;
	my ($i, $what, @more) = @$move;
	if (!defined $i) { $what eq 'carry_out' ? $self->carry_out(@more) : $self->event_goes_on(@$move); return $self }
	my $visit = $self->{visits}[$i];
	if    ($what eq 'strike') { $self->strike($visit, @more) }
	elsif ($what eq 'begin')  { $self->take_up($visit) }
	elsif ($what eq 'arrive') { $self->answer($visit, @{ delete $visit->{arriving} }) }
	elsif ($what eq 'run')    { $self->run($visit) }
	elsif ($what eq 'child')  { $self->child_goes_on($visit, @more) }
	elsif ($what eq 'items')  { delete $visit->{due} }
	elsif ($what eq 'unsent') { $visit->{state} eq 'cancelling' ? $self->ask($visit, 'cancelling', 'cancel') : $self->called_back($visit) }
	elsif ($what eq 'happen') { $visit->{state} eq 'cancelling' ? $self->conclude($visit) : $self->called_back($visit) }
	return $self;
}

# What an executor takes up, or who was suspended.
sub take_up
{
	my ($self, $visit) = @_;
	if ($self->acts_first($visit))
	{
		set_clocks($visit) unless $visit->{passed};
		$self->act($visit);
	}
	elsif ($visit->{has_callback})    { $self->called_back($visit) }
	elsif ($visit->{passed})          { $self->act($visit) }
	elsif ($visit->{standing})        { $self->stand($visit) }
	else                              { $self->begin($visit) }
}

sub strike
{
	my ($self, $visit, $clock, $late) = @_;
	my $what = delete $visit->{clocks}{$clock};
	if    ($clock eq 'pause')     { $visit->{def}{http} ? $self->ask($visit, 'retrying', 'action') : ($visit->{statement} = 1) }
	elsif ($clock =~ /beside$/)   { $self->enter(token($visit), handed($visit, $visit->{fault}), Graph::names($what->{next})) }
	elsif ($clock =~ /instead$|timeout|early/ && ($self->acts_first($visit) || awaits_child($visit))) { $self->interrupt($visit, 'SUCCESS') }
	elsif ($clock =~ /instead$/)  { $self->interrupt($visit, 'CANCELLED', $what) }
	elsif ($clock =~ /every/)
	{
		$visit->{clocks}{every1} = $what if $clock eq 'every2' && !$late; # beats that are missed are one
		$self->happen($visit, $what, 'beside', { kind => 'every' });
	}
	elsif ($clock =~ /^(after|past)$/) { $visit->{def}{first_of} ? $self->accept_event($visit, $what, { kind => kind_of($what) }) : $self->success($visit) }
	elsif ($clock eq 'confirm')   { $self->conclude($visit) }
	elsif ($clock eq 'heartbeat') { $self->interrupt($visit, 'DIED') }
	elsif ($clock =~ /timeout|early/) { $self->interrupt($visit, 'TIMED_OUT') }
}

1;
