#
# BranchMaker.pm
#		Makes up processes with several tokens, for ProcessMaker.pm: forks, joins, embedded sub-processes, errors that are caught
#		outside of where they happen, processes that have a timeout and handlers of their own.
#
#   my $definition = BranchMaker::make();       or with about so many steps
#
# Steps of a list lead forward; back goes only what the outside has moved. What a branch writes is mostly its own; what it reads may be
# changed by others, which simulators try in any order.
#
package BranchMaker;

use strict;
use warnings;

use Graph;
use StepMaker qw(chance pick true false clock_of %SOON $NEVER http sql notify limits handlers);

my $MOST_STEPS = 16;
my $DEEPEST = 3;

my ($left, $soon);

sub some
{
	my ($n, @of) = @_;
	my @some;
	push @some, splice(@of, int(rand(@of)), 1) while @some < $n && @of;
	return @some;
}

# ---- what it does ----

sub set
{
	my ($step, $local) = @_;
	$step->{set} = chance(0.4) ? { v => int(rand(3)) } : { "set_$step->{step}" => 1 + int(rand(3)) };
	$step->{set}{n} = 1 + int(rand(3)) if $local && chance(0.6);
	$step->{set}{ok} = chance(0.8) ? true() : false() if $local && chance(0.3);
}

sub action
{
	my ($step, $local) = @_;
	my $kind = pick(qw(http http http wait wait wait wait set set set sql nothing), chance(0.3) ? 'notify' : (), $soon ? ('clock') : ());
	if    ($kind eq 'http')   { http($step, $soon) }
	elsif ($kind eq 'sql')    { sql($step, $soon) }
	elsif ($kind eq 'notify') { notify($step) }
	elsif ($kind eq 'wait')   { $step->{wait} = true() }
	elsif ($kind eq 'set')    { set($step, $local) }
	elsif ($kind eq 'clock')  { $step->{wait} = { clock_of('after', 1) } }
	return $kind;
}

# ---- where it goes ----

# One target, or several of them.
sub few
{
	my %had;
	my @targets = grep { !$had{$_}++ } @_;
	return @targets > 1 && chance(0.2) ? [ some(2, @targets) ] : pick(@targets);
}

sub condition { return '$.v == ' . int(rand(3)) }

# Some with a condition, perhaps one for when none is true.
sub split_into
{
	my (@targets) = @_;
	my @names = some(2 + int(rand(2)), @targets);
	my @branches = map { { when => condition(), next => $_ } } @names;
	if    (chance(0.3)) { $branches[0] = $names[0] }
	elsif (chance(0.8)) { push @branches, { else => few(@targets) } }
	return \@branches;
}

sub end
{
	my ($depth) = @_;
	return 'scope' if chance($depth ? 0.35 : 0.2);
	return { error => pick('E1', 'E1', 'E2'), message => 'the end' } if chance($depth ? 0.5 : 0.2);
	return chance(0.1) ? { abort => 'enough' } : true();
}

# $forks: how many there may be yet.
sub route
{
	my ($step, $targets, $forward, $depth, $forks) = @_;
	my $kind = rand();
	if (!@$targets || $kind < 0.1) { $step->{end} = end($depth) }
	elsif ($kind < 0.3)
	{
		$step->{choose} = [ { when => condition(), next => few(@$targets) }, chance(0.85) ? { next => pick(@$targets) } : () ];
	}
	elsif ($kind < 0.7 && @$forward > 1 && $$forks > 0)
	{
		$$forks--;
		$step->{next} = chance(0.7) ? [ some(2 + int(rand(2)), @$forward) ] : split_into(@$forward);
	}
	else { $step->{next} = chance(0.6) ? $targets->[0] : pick(@$targets) }
}

# Handlers that have a fork: not of what is cancelled, which could go on for long.
sub fork_in_handlers
{
	my ($step, @forward) = @_;
	for my $handler (grep { ref $_->{on} && !grep { /CANCELLED/ } @{ $_->{on} } } @{ $step->{catch} // [] })
	{
		$handler->{next} = [ some(2, @forward) ] if @forward > 1 && chance(0.15);
	}
}

# ---- lists of steps ----

sub scope
{
	my ($step, $depth, $forward, $beside) = @_;
	$step->{local} = { n => pick(1, 2, '${$.v}'), (ok => true()) x chance(0.4), (v => int(rand(3))) x chance(0.3) } if chance(0.6);
	$step->{steps} = list("$step->{step}x", $depth + 1, $step->{local});
	$step->{success} = '$result.response.ok == true' if $step->{local} ? $step->{local}{ok} : chance(0.05);
	$step->{save} = { "save_$step->{step}" => '${$result.response.n ?? 0}' } if chance(0.5);
	$step->{ignore_cancel} = true() if chance(0.1);
	$step->{timeout} = $soon && chance(0.5) ? $SOON{timeout} : $NEVER if chance(0.3);
	handlers($step, $forward, $beside, $soon) if @$forward;
}

sub plain
{
	my ($step, $local, $forward, $targets, $beside) = @_;
	my $kind = action($step, $local);
	my $outside = $kind eq 'http' || $step->{wait} && $kind ne 'clock';
	limits($step, $soon) if $outside;
	$step->{save}{n} = '${$result.response.n ?? 0}' if $local && $outside && chance(0.4);
	my @caught = $kind =~ /http|wait/ && !$soon ? @$targets : @$forward;
	handlers($step, \@caught, $outside ? $beside : [], $soon && $outside) if @caught && $kind !~ /set|clock|nothing/;
	return $kind =~ /http|wait/;
}

sub list
{
	my ($prefix, $depth, $local) = @_;
	my $n = $depth ? 1 + int(rand(4)) : 3 + int(rand(4));
	my @names = map { "$prefix$_" } 1 .. $n;
	my @beside = chance(0.35) ? "${prefix}b1" : ();
	my $forks = $depth ? 1 : 2;
	my @steps;
	$left -= @names + @beside;
	for my $i (0 .. $#names)
	{
		my $step = { step => $names[$i] };
		my @forward = @names[ $i + 1 .. $#names ];
		my @targets = @forward;
		if ($left > 0 && $depth < $DEEPEST && chance(0.3)) { scope($step, $depth, \@forward, \@beside) }
		elsif (plain($step, $local, \@forward, [ @forward, @names[ 0 .. $i ] ], \@beside) && chance(0.3)) { push @targets, pick(@names) }
		fork_in_handlers($step, @forward);
		route($step, \@targets, \@forward, $depth, \$forks);
		$step->{async} = true() if chance(0.1);
		push @steps, $step;
	}
	for my $name (@beside)
	{
		my $step = { step => $name };
		plain($step, $local, [], [], []);
		$step->{end} = end($depth) if chance(0.3);
		my ($last) = grep { $_->{step} eq $names[-1] } @steps;
		# which does not begin it again by a clock
		my $begins_it = grep { $_->{next} eq $name } grep { !($_->{interrupt} // 1) } @{ $last->{catch} // [] };
		if (!$step->{end} && @names > 1 && chance(0.3) && !$begins_it) { $step->{next} = $names[-1] }
		$step->{end} //= true() unless $step->{next};
		push @steps, $step;
	}
	return joined(\@steps);
}

sub most { return (sort { $b <=> $a } 0, @_)[0] }

our %on_the_way;

# How many tokens can come to a step from one at another; in a circle as many as you like, be it one that handlers of joins have closed
# since the graph was made.
sub can_come
{
	my ($graph, $to, $from) = @_;
	return 1 if $from eq $to;
	return 99 if $on_the_way{$from};
	local $on_the_way{$from} = 1;
	return 0 unless $graph->reaches($from, $to);
	return 99 if $graph->reaches($from, $from);
	my $all = sub { my $n = 0; $n += can_come($graph, $to, $_) for @_; return $n };
	my $def = $graph->{step}{$from}{def};
	my @handlers = @{ $def->{catch} // [] };
	my ($else) = grep { ref && exists $_->{else} } Graph::listed($def->{next});
	my @ways = $def->{choose} ? map { $all->(Graph::names($_->{next})) } @{ $def->{choose} }
	  : $else ? ($all->(map { Graph::names($_) } grep { !ref || !exists $_->{else} } @{ $def->{next} }), $all->(Graph::names($else)))
	  : $all->($graph->targets($from));
	my @beside = grep { !($_->{interrupt} // 1) } @handlers;
	push @ways, map { $all->(Graph::names($_->{next})) } grep { $_->{interrupt} // 1 } @handlers;
	return most(@ways) + $all->(map { Graph::names($_->{next}) } @beside);
}

# Those that are reached, some of them joins.
sub joined
{
	my ($steps) = @_;
	my $graph = Graph->new({ steps => $steps });
	my $reached = $graph->behind($steps->[0]{step});
	my @steps = grep { $reached->{ $_->{step} } } @$steps;
	my %ways;
	$ways{$_}++ for map { $graph->edges($_->{step}) } @steps;
	for my $step (@steps)
	{
		my $n = $ways{ $step->{step} } // 0;
		next unless $n && chance($n > 1 ? 0.6 : 0.08);
		my @forward = grep { $_ gt $step->{step} } map { $_->{step} } @steps;
		# what a join catches may be that too few come, which may happen again and again
		next if grep { $_ le $step->{step} } $graph->caught($step->{step});
		next if $step->{catch} && $step->{ignore_cancel} && $graph->reaches($step->{step}, $step->{step});
		my $most = $graph->reaches($step->{step}, $step->{step}) ? 3 : can_come($graph, $step->{step}, $steps[0]{step});
		$step->{join} = pick('all', 'all', 'any', $most > 1 ? 2 : (), $most > 2 ? 3 : ());
		next if $step->{timeout} || !chance(0.25);
		$step->{timeout} = $soon && chance(0.5) ? $SOON{timeout} : $NEVER;
		$step->{catch} //= [ { on => [ pick('TIMED_OUT', 'join', 'SYSTEM_ERROR') ], next => pick(@forward) } ] if @forward && chance(0.6);
	}
	return \@steps;
}

# ---- all of it ----

# Where a step leads to the one that follows it may be left out, except from one branch into its sibling.
sub leave_out_next
{
	my ($steps, $graph) = @_;
	my @forks = map { [ $graph->targets($_->{step}) ], [ $graph->caught($_->{step}) ] } @$steps;
	for my $step (@$steps)
	{
		leave_out_next($step->{steps}, $graph) if $step->{steps};
		my $follows = $graph->{step}{ $step->{step} }{follows};
		next unless defined $follows && !ref $step->{next} && ($step->{next} // '') eq $follows && chance(0.4);
		next if grep { my $fork = $_; (grep { $_ eq $step->{step} } @$fork) && grep { $_ eq $follows } @$fork } @forks;
		delete $step->{next};
	}
}

# What was caught is saved where something can have been, inside of where it was as well.
sub save_caught
{
	my ($steps, $everywhere) = @_;
	my $graph = Graph->new({ steps => $steps });
	my $handled = $graph->behind(map { $graph->caught($_->{step}) } @$steps);
	for my $step (@$steps)
	{
		my $name = $step->{step};
		my $has = $everywhere || $handled->{$name};
		save_caught($step->{steps}, $has) if $step->{steps};
		next if !$has || chance(0.3);
		my $key = $step->{set} ? 'set' : $step->{http} || $step->{sql} ? 'save_reply' : 'save';
		$step->{$key}{"caught_$name"} = '${$caught.result.response.n ?? 0}';
		$step->{$key}{"error_$name"} = '${$caught.error.code ?? $caught.step ?? 0}';
	}
}

# A timeout, and handlers with steps of their own.
sub of_the_process
{
	my ($definition) = @_;
	my @names = map { "h$_" } 1 .. 1 + int(rand(3));
	my $process = {};
	$left += 4;
	$process->{timeout} = $soon && chance(0.5) ? $SOON{timeout} : $NEVER if chance(0.4);
	handlers($process, \@names, chance(0.5) ? \@names : [], $soon);
	my @handled = map { Graph::names($_->{next}) } @{ $process->{catch} // [] };
	if (@handled)
	{
		my @steps;
		my $forks = 1;
		for my $i (0 .. $#names)
		{
			my $step = { step => $names[$i] };
			my @forward = @names[ $i + 1 .. $#names ];
			if (chance(0.15)) { scope($step, 2, \@forward, []) }
			else              { plain($step, undef, \@forward, \@forward, []) }
			route($step, \@forward, \@forward, 0, \$forks);
			push @steps, $step;
		}
		my $reached = Graph->new({ steps => \@steps })->behind(@handled);
		push @{ $definition->{steps} }, grep { $reached->{ $_->{step} } } @steps;
	}
	$definition->{$_} = $process->{$_} for keys %$process;
}

sub make
{
	$left = $_[0] // $MOST_STEPS;
	$soon = chance(0.25);
	my $definition = { data => { v => 0 }, steps => list('m', 0) };
	of_the_process($definition) if chance(0.25);
	save_caught($definition->{steps});
	leave_out_next($definition->{steps}, Graph->new($definition));
	Graph::forget_all();
	$definition->{retry} = { max => 1, delay => $SOON{pause} } if chance(0.2);
	return $definition;
}

1;
