#
# ProcessMaker.pm
#		Makes up processes: any that the model allows, of the keys that it knows, from a seed.
#
#   srand($seed);
#   my $definition = ProcessMaker::make();      as define() wants it, once encoded
#   my $attachment = ProcessMaker::attachment($definition);     {serial_step}, or undef: it is started by a call
#
# Clocks are soon, or in an hour, which is never. The main path has them, and so have branches, which handlers begin beside it.
# Nothing goes in circles by itself: back goes only what the outside has moved.
#
# SQL steps write their serial numbers into the table effects, as far as they have an effect.
#
package ProcessMaker;

use strict;
use warnings;

use JSON::PP ();

# in the order in which those of one visit strike, far enough apart for a busy machine
our %SOON = (
	pause     => '1 ms',
	beside    => '100 ms',
	early     => '300 ms',
	instead   => '400 ms',
	after     => '800 ms',
	confirm   => '1 s',
	heartbeat => '1.2 s',
	timeout   => '2 s');

my $NEVER = '1 h';

sub chance { return rand() < $_[0] }
sub pick   { return $_[ int(rand(@_)) ] }
sub true   { return JSON::PP::true }
sub false  { return JSON::PP::false }

sub is_soon { return defined $_[0] && $_[0] ne $NEVER }

# ---- what it does ----

sub http
{
	my ($step, $soon) = @_;
	my $body = { sn => '${$serial_number}' };
	$step->{http} = { server => 'partner', method => 'POST', path => '/action', body => $body };
	$step->{wait} = true if chance(0.3);
	$step->{wait} = { callback => true, when => '$reply.status == 202' } if !$step->{wait} && chance(0.5);
	$body->{url} = '${$callback_url}' if $step->{wait};
	$step->{retry} = { max => int(rand(3)), delay => pick($SOON{pause}, $NEVER) } if chance(0.5);
	$step->{cancel} = { path => '/cancel', body => { sn => '${$serial_number}' }, timeout => $soon ? pick($SOON{confirm}, $NEVER) : $NEVER }
	  if chance(0.5);
	$step->{save_reply} = { "reply_$step->{step}" => '${$reply.status}' } if chance(0.3);
}

# One that succeeds, one that fails, and two that have a say about their own instance.
sub sql
{
	my ($step, $soon) = @_;
	my $kind = pick(qw(effect effect effect bad data complete));
	my $slowly = 'FROM pg_sleep(' . pick(0, 0.05, 0.2) . ')';
	$step->{wait} = true if $kind eq 'complete' || chance(0.3);
	if ($kind eq 'effect')
	{
		$slowly = 'FROM pg_sleep(0.6)', $step->{timeout} = $SOON{early} if $soon && chance(0.2);
		$step->{sql} = "INSERT INTO effects SELECT visit.serial_number $slowly RETURNING 1 AS n";
	}
	elsif ($kind eq 'bad')
	{
		$step->{sql} = "SELECT 1 / (visit.instance - visit.instance) AS n $slowly";
		$step->{retry} = { max => 1 + int(rand(2)), delay => pick($SOON{pause}, $NEVER), on => ['22012'] } if chance(0.4);
	}
	elsif ($kind eq 'data') { $step->{sql} = q[SELECT 1 AS n FROM workflow.set_data(visit.instance, '{"v": ] . int(rand(3)) . q[}')] }
	else { $step->{sql} = q[SELECT 1 AS n FROM workflow.complete(visit.serial_number, '{"ok": true, "n": 6}')] }
	$step->{save_reply} = { "reply_$step->{step}" => '${$reply.count}' } if chance(0.3);
}

sub notify
{
	my ($step) = @_;
	$step->{notify} = { channel => 'generated', payload => chance(0.8) ? '${$serial_number}' : '${$.missing}' };
	$step->{wait} = true if chance(0.5);
}

sub action
{
	my ($step, $soon) = @_;
	my $kind = pick(qw(http http http http wait wait wait set set sql sql sql notify), $soon ? ('clock') : ());

	if    ($kind eq 'http')   { http($step, $soon) }
	elsif ($kind eq 'sql')    { sql($step, $soon) }
	elsif ($kind eq 'notify') { notify($step) }
	elsif ($kind eq 'wait')   { $step->{wait} = true }
	elsif ($kind eq 'set')    { $step->{set} = { v => int(rand(3)) } }
	elsif ($kind eq 'clock')  { $step->{wait} = { after => chance(0.8) ? $SOON{after} : $NEVER } }
	return $kind;
}

# ---- what bounds it, and where it goes ----

sub limits
{
	my ($step, $soon) = @_;
	$step->{success} = '$result.response.ok == true' if chance(0.3);
	$step->{save} = { "save_$step->{step}" => '${$result.response.n ?? 0}' } if chance(0.4);
	$step->{ignore_cancel} = true if chance(0.15);
	$step->{timeout} //= $soon && chance(0.5) ? $SOON{timeout} : $NEVER if chance(0.4);
	$step->{heartbeat} = $SOON{heartbeat} if $soon && $step->{wait} && chance(0.25);
}

# Handlers: of outcomes, each named once, and of the clock.
sub handlers
{
	my ($step, $targets, $beside, $soon) = @_;
	my @outcomes = sort { rand() <=> 0.5 } qw(FAILED TIMED_OUT DIED CANCELLED SYSTEM_ERROR E1 503 22012);
	my @catch;

	push @catch, { on => [ splice(@outcomes, 0, 1 + int(rand(2))) ], next => pick(@$targets) } while chance(0.55) && @outcomes > 2;
	push @catch, { on => '*', next => pick(@$targets) } if chance(0.25);
	push @catch, { after => $SOON{beside}, interrupt => false, next => pick(@$beside) } if @$beside && chance(0.3);
	push @catch, { after => $SOON{instead}, next => pick(@$targets) } if $soon && chance(0.15);
	$step->{catch} = \@catch if @catch;
}

sub route
{
	my ($step, $targets, $stops) = @_;
	my $kind = rand();
	if (!@$targets || $kind < 0.06) { $step->{end} = true }
	elsif ($kind < 0.06 + $stops) { $step->{end} = chance(0.5) ? { error => 'E1', message => 'the end' } : { abort => 'enough' } }
	elsif ($kind < 0.4)
	{
		$step->{choose} = [ { when => '$.v == ' . int(rand(3)), next => pick(@$targets) }, { next => pick(@$targets) } ];
	}
	else { $step->{next} = chance(0.7) ? $targets->[0] : pick(@$targets) }
}

sub path
{
	my ($names, $soon, $beside) = @_;
	my @steps;
	for my $i (0 .. $#$names)
	{
		my $step = { step => $names->[$i] };
		my @forward = @$names[ $i + 1 .. $#$names ];
		my $kind = action($step, $soon);
		my $outside = $kind eq 'http' || $step->{wait} && $kind ne 'clock';
		my @targets = (@forward, $kind =~ /http|wait/ && chance(0.5) ? pick(@$names) : ());
		limits($step, $soon) if $outside;
		# a clock is no event from outside
		my @caught = $soon || $kind !~ /http|wait/ ? @forward : @targets;
		handlers($step, \@caught, $outside ? $beside : [], $soon && $outside) if @caught && $kind !~ /set|clock/;
		route($step, \@targets, @$beside ? 0.07 : 0.03);
		$step->{async} = true if chance(0.15);
		push @steps, $step;
	}
	return @steps;
}

# ---- all of it ----

sub caught  { return map { $_->{next} } @{ $_[0]{catch} // [] } }
sub targets { my ($step) = @_; return (caught($step), map { $_->{next} } grep { exists $_->{next} } $step, @{ $step->{choose} // [] }) }

# Names of the steps that these lead to, and of those themselves.
sub behind
{
	my ($steps, @open) = @_;
	my %step = map { $_->{step} => $_ } @$steps;
	my %seen;
	while (defined(my $name = shift @open))
	{
		push @open, targets($step{$name}) unless $seen{$name}++;
	}
	return \%seen;
}

# What was caught is saved where something can have been.
sub save_caught
{
	my ($steps) = @_;
	my $handled = behind($steps, map { caught($_) } @$steps);
	for my $step (grep { $handled->{ $_->{step} } } @$steps)
	{
		my $key = $step->{set} ? 'set' : $step->{http} || $step->{sql} ? 'save_reply' : 'save';
		next if chance(0.2);
		$step->{$key}{"caught_$step->{step}"} = '${$caught.result.response.n ?? 0}';
		$step->{$key}{"error_$step->{step}"} = '${$caught.error.code ?? $caught.step ?? 0}';
	}
}

sub make
{
	my @beside = map { "b$_" } 1 .. 2;
	my @steps = (path([ map { "m$_" } 1 .. 3 + int(rand(5)) ], 1, \@beside), path(\@beside, chance(0.4), []));
	my $reached = behind(\@steps, $steps[0]{step});

	@steps = grep { $reached->{ $_->{step} } } @steps;
	save_caught(\@steps);
	return { data => { v => 0 }, steps => \@steps, chance(0.2) ? (retry => { max => 1, delay => $SOON{pause} }) : () };
}

# Does the row that starts an instance show the number of its first visit, and later that of this step alone?
sub attachment
{
	my ($definition) = @_;
	return undef unless chance(0.3);
	my @waits = grep { $_->{wait} && !(ref $_->{wait} eq 'HASH' && $_->{wait}{after}) } @{ $definition->{steps} };
	return { serial_step => @waits && chance(0.4) ? pick(@waits)->{step} : undef };
}

1;
