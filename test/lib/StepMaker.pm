#
# StepMaker.pm
#		Parts of made-up steps, for ProcessMaker.pm and BranchMaker.pm: what they do, what bounds them, what they catch.
#
# Clocks are soon, or in an hour, which is never. SQL steps write their serial numbers into the table effects, as far as they have an
# effect.
#
package StepMaker;

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP ();

our @EXPORT_OK = qw(chance pick true false is_soon clock_of %SOON $NEVER $SHORT http sql notify limits handlers);

# in the order in which those of one visit strike, far enough apart for a busy machine
our %SOON = (
	pause     => '1 ms',
	beside    => '100 ms',
	every     => '130 ms',
	early     => '300 ms',
	instead   => '400 ms',
	after     => '800 ms',
	confirm   => '1 s',
	heartbeat => '1.2 s',
	timeout   => '2 s');

our $NEVER = '1 h';
our $SHORT = '1 ms'; # of what is kept, nobody is as fast as that

# of "until"
our ($PAST, $FUTURE) = ('2000-01-01 00:00:00+00', '2200-01-01 00:00:00+00');

sub chance { return rand() < $_[0] }
sub pick   { return $_[ int(rand(@_)) ] }
sub true   { return JSON::PP::true }
sub false  { return JSON::PP::false }

sub is_soon { return defined $_[0] && $_[0] ne $NEVER && $_[0] ne $FUTURE }

# Of that name, or one that has struck long ago; or never.
sub clock_of
{
	my ($name, $soon) = @_;
	return chance(0.2) ? (until => $FUTURE) : (after => $NEVER) unless $soon;
	return chance(0.25) ? (until => $PAST) : (after => $SOON{$name});
}

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
	$step->{keep_reply} = pick(true, false, false) if chance(0.7);
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
	$step->{keep_reply} = false if chance(0.5);
}

sub notify
{
	my ($step) = @_;
	$step->{notify} = { channel => 'generated', payload => chance(0.8) ? '${$serial_number}' : '${$.missing}' };
	$step->{wait} = true if chance(0.5);
}

# ---- what bounds it ----

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
	push @catch, { clock_of('beside', 1), interrupt => false, next => pick(@$beside) } if @$beside && chance(0.3);
	push @catch, { $catch[-1] && $catch[-1]{until} ? (after => $SOON{instead}) : clock_of('instead', 1), next => pick(@$targets) } if $soon && chance(0.15);
	$step->{catch} = \@catch if @catch;
}

1;
