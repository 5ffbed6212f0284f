#
# EventMaker.pm
#		Gives a made-up process events: messages, signals, conditions, tasks, topics, escalations, clocks that repeat, the first of several; and steps
#		that send. It changes what ProcessMaker.pm has made: steps that waited for a callback wait for something else, steps that did
#		nothing send, handlers begin by events.
#
#   my $names = EventMaker::add($definition, $seed, $name);     {messages, signals, topic}: names that no other process has; undef: it has none
#
# Nothing goes in circles by itself: what leads back stays as it is, and what handlers lead to that may begin again and again neither
# sends nor makes conditions true.
#
package EventMaker;

use strict;
use warnings;

use BranchMaker;
use Graph;
use JSON::PP ();
use OfferMaker;
use ProcessMaker;
use Simulator;
use StepMaker qw(chance pick true false is_soon clock_of %SOON $NEVER $SHORT);

my ($graph, $soon, $names, $local);
our $may_fail;

# ---- events ----

# Of messages the first has no key, mostly, the second has one.
sub message
{
	my ($name) = @_;
	my $has_key = $name eq $names->{messages}[0] ? chance(0.1) : chance(0.9);
	return { message => $name, $has_key ? (key => chance(0.5) ? '${$.v}' : int(rand(3))) : () };
}

# Of the data, or of a field of the scope around.
sub condition { return { condition => pick('$.c == 1', '$.c == 2', '$.c > 0', $local ? '$.n > 2' : ()) } }

# One of a kind that has not been used at that step, or undef.
sub event
{
	my ($used, @kinds) = @_;
	my $kind = pick(@kinds);
	return condition() if $kind eq 'condition';
	return $used->{$kind}++ ? undef : $kind eq 'task' ? OfferMaker::task($may_fail) : OfferMaker::topic($names->{topic}) if $kind =~ /task|topic/;
	my ($name) = grep { !$used->{$_} } sort { rand() <=> 0.5 } @{ $names->{"${kind}s"} };
	return undef unless defined $name;
	$used->{$name} = 1;
	return $kind eq 'message' ? message($name) : { signal => $name };
}

# Kinds of events that a step may wait for.
sub kinds { my ($step) = @_; return (qw(message message signal), $step->{ignore_cancel} ? () : 'condition', $names->{topic} ? qw(task task topic topic) : ()) }

sub data { return { n => 1 + int(rand(9)), ok => chance(0.8) ? true() : false() } }

# ---- where a step may go ----

sub ahead
{
	my ($name) = @_;
	my @list = grep { $_ ne $Graph::PROCESS } @{ $graph->{lists}[ $graph->{step}{$name}{list} ]{steps} };
	my ($at) = grep { $list[$_] eq $name } 0 .. $#list;
	return ([ grep { !/b\d$/ } @list[ $at + 1 .. $#list ] ], [ grep { /b\d$/ && $_ ne $name } @list ], [ @list[ 0 .. $at ] ]);
}

sub leads_back
{
	my ($name, $behind) = @_;
	my %behind = map { $_ => 1 } @$behind;
	return scalar grep { $behind{$_} } $graph->edges($name);
}

# ---- waiting ----

# What was the route of the step is that of one of the events, unless all of them may be closed.
sub first_of
{
	my ($step, $used, $forward, $has_callback) = @_;
	my $name = $step->{step};
	my @entries = $has_callback ? { callback => true() } : ();
	push @entries, grep { defined } map { event($used, kinds($step)) } 1 .. 1 + int(rand(2));
	my $has_until = grep { $_->{until} } @{ $step->{catch} // [] };
	push @entries, { $has_until ? (after => $soon ? $SOON{after} : $NEVER) : clock_of('after', $soon) } if @entries < 2 || chance(0.25);
	@entries = sort { rand() <=> 0.5 } @entries;

	my $next = $step->{next} // $graph->{step}{$name}{follows};
	my $may_be_closed = $step->{choose} || $step->{end} || !defined $next || (grep { ref } Graph::listed($next)) || chance(0.3);
	for my $i (0 .. $#entries)
	{
		$entries[$i]{next} = !$i && !$may_be_closed ? $next : pick(@$forward);
		$entries[$i]{when} = $step->{http} ? '$reply.status == 202' : '$.v == ' . int(rand(2)) if $may_be_closed || ($i && chance(0.2));
		$entries[$i]{save}{"kind_$name"} = '${$event.kind}' if chance(0.6);
	}
	# whether its confirmation is waited for
	delete $step->{cancel} if grep { $_->{callback} && $_->{when} } @entries;
	if    (!$may_be_closed) { delete $step->{next} }
	elsif (defined $next)   { $step->{next} = $next unless $step->{choose} || $step->{end} }
	else                    { $step->{end} //= true() unless $step->{choose} }
	$step->{first_of} = \@entries;
}

sub wait_for_event
{
	my ($step, $used) = @_;
	$step->{wait} = event($used, kinds($step)) // return;
	$step->{wait}{when} = '$reply.status == 202' if $step->{http} && chance(0.6);
	delete $step->{success} if $step->{wait}{condition} && chance(0.9);
}

# Instead of a callback.
sub wait_for_something
{
	my ($step, $used, $forward) = @_;
	my $has_callback = $step->{wait} && chance(0.6);
	my $was = delete $step->{wait};
	local $may_fail = !$step->{http};
	if (@$forward && chance(0.55)) { first_of($step, $used, $forward, $has_callback) }
	else
	{
		wait_for_event($step, $used);
		$has_callback = 0;
	}
	$step->{wait} = $was if !$step->{first_of} && !$step->{wait} && $was;
	return if $has_callback || !$step->{first_of} && !ref $step->{wait};
	delete $step->{heartbeat};
	delete $step->{http}{body}{url} if $step->{http};
}

# For a person or a worker. They are outside, so it may lead back.
sub wait_for_client
{
	my ($step, $used, $leads_back) = @_;
	my $when = ref $step->{wait} eq 'HASH' ? $step->{wait}{when} : undef;
	local $may_fail = !$step->{http} && !$leads_back;
	$step->{wait} = { %{ event($used, qw(task topic)) }, $when ? (when => $when) : () };
	delete $step->{heartbeat} unless $step->{wait}{topic};
	$step->{heartbeat} = $SOON{heartbeat} if $step->{wait}{topic} && $soon && chance(0.4);
	$step->{retry} = { max => 1 + int(rand(2)), delay => pick($SOON{pause}, $SOON{pause}, $NEVER) } if $step->{wait}{topic} && !$step->{http} && !$step->{sql} && chance(0.5);
	delete $step->{http}{body}{url} if $step->{http};
}

# ---- sending ----

# What something else has changed, this step saves.
sub send_something
{
	my ($step, $used, $forward, $in_scope) = @_;
	my $name = $step->{step};
	my $kind = pick(qw(message message message signal), $in_scope ? qw(escalation escalation) : ());
	my $set = delete $step->{set} // {};
	$step->{save}{$_} = $set->{$_} for grep { /^(caught|error)_/ } keys %$set;
	if    ($kind eq 'escalation') { $step->{send} = { escalation => pick('X', 'X', 'Y') } }
	elsif ($kind eq 'signal')     { $step->{send} = { signal => pick(@{ $names->{signals} }) } }
	else
	{
		$step->{send} = message(pick(@{ $names->{messages} }));
		$step->{send}{ttl} = pick($NEVER, $NEVER, $SHORT) if chance(0.45);
		$step->{send}{message_id} = pick('i1', 'i2') if chance(0.15);
		$step->{send}{to_all} = true() if chance(0.15);
	}
	$step->{send}{data} = data() if chance(0.8);
	$step->{save_reply} = { "reply_$name" => '${$reply}' } if chance(0.6);
	wait_for_something($step, $used, $forward) if chance(0.25);
}

# ---- handlers ----

sub handler
{
	my ($step, $used, $is_scope, $has_beside) = @_;
	my @callback = Simulator::callback_of($step) || $used->{callback} ? () : 'callback';
	my $kind = pick(kinds($step), $has_beside ? 'every' : (), @callback, $is_scope ? qw(escalation escalation) : ());
	return { callback => $used->{callback} = true() } if $kind eq 'callback';
	return event($used, $kind) unless $kind =~ /escalation|every/;
	my ($code) = grep { !$used->{$_} } $kind eq 'every' ? 'every' : sort { rand() <=> 0.5 } 'X', 'Y', '*';
	return undef unless defined $code;
	$used->{$_} = 1 for $code eq '*' ? ('X', 'Y', '*') : $code; # what comes after "*" is never reached
	return { escalation => $code } if $kind eq 'escalation';
	return { every => $soon ? $SOON{every} : $NEVER, $soon ? (times => 1 + int(rand(2))) : (), interrupt => false() };
}

sub handlers
{
	my ($step, $name, $used, $forward, $beside, $is_scope) = @_;
	my @beside = (@$beside, @$forward);
	return unless @beside;
	for my $i (1 .. (chance(0.3) ? 2 : 1))
	{
		my $handler = handler($step, $used, $is_scope, 1) // next;
		$handler->{interrupt} //= false() if !@$forward || chance(0.5);
		$handler->{next} = pick($handler->{interrupt} // 1 ? @$forward : @beside);
		$handler->{save} = { "handler_${name}_$i" => '${$event.data.n ?? 0}' } if chance(0.4);
		push @{ $step->{catch} }, $handler;
	}
}

# Those of the process lead to steps of their own.
sub of_the_process
{
	my ($definition) = @_;
	my @handled = grep { $_ ne $Graph::PROCESS } @{ $graph->{step}{$Graph::PROCESS} ? $graph->{lists}[0]{steps} : [] };
	push @{ $definition->{steps} }, { step => $handled[0] = 'e1', set => { set_e1 => 1 }, end => true() } unless @handled;
	my $process = { catch => $definition->{catch} // [] };
	handlers($process, 'process', {}, \@handled, [], 1);
	return $definition->{catch} = $process->{catch} if @{ $process->{catch} };
	pop @{ $definition->{steps} } if $handled[0] eq 'e1';
}

# ---- all of it ----

sub change
{
	my ($step, $in_scope) = @_;
	my $name = $step->{step};
	my ($forward, $beside, $behind) = ahead($name);
	my %used;
	my $takes_callback = ref $step->{wait} ne 'HASH' ? $step->{wait} : $step->{wait}{callback};
	my $does_nothing = !grep { exists $step->{$_} } qw(http sql notify wait steps);
	$step->{set}{c} = int(rand(3)) if $step->{set} && chance(0.5);
	if ($does_nothing)
	{
		send_something($step, \%used, $forward, $in_scope) if chance(0.4) && !leads_back($name, $behind);
		return;
	}
	my $is_free = $takes_callback && ($step->{sql} // '') !~ /complete/;
	if    ($is_free && $names->{topic} && chance(0.6))             { wait_for_client($step, \%used, leads_back($name, $behind)) }
	elsif ($is_free && !leads_back($name, $behind) && chance(0.5)) { wait_for_something($step, \%used, $forward) }
	$step->{save}{c} = '${$result.response.n ?? 0}' if ($step->{wait} || $step->{first_of}) && chance(0.1);
	handlers($step, $name, \%used, $forward, $step->{join} ? [] : $beside, $step->{steps} ? 1 : 0) if chance($step->{steps} ? 0.5 : 0.25);
}

sub change_all
{
	my ($steps, $in_scope, $fields) = @_;
	for my $step (@$steps)
	{
		$local = $fields && $fields->{n};
		change($step, $in_scope);
		change_all($step->{steps}, 1, $step->{local}) if $step->{steps};
	}
}

# What may be entered again and again must not be the reason for that.
sub calm
{
	my ($step) = @_;
	if (delete $step->{send})
	{
		delete $step->{save_reply};
		$step->{set} = { "set_$step->{step}" => 1 } unless $step->{wait} || $step->{first_of};
	}
	delete $step->{set}{c} if $step->{set};
	delete $step->{save}{c} if $step->{save};
	$step->{set}{"set_$step->{step}"} //= 1 if $step->{set} && !%{ $step->{set} };
	delete $step->{save} if $step->{save} && !%{ $step->{save} };
}

sub begins_by_event { return !$_[0]{on} && !$_[0]{after} && !$_[0]{until} }

sub calm_what_repeats
{
	my ($definition) = @_;
	my @handlers = grep { begins_by_event($_) && !$_->{every} && !($_->{interrupt} // 1) } map { @{ $_->{catch} // [] } } $definition, ProcessMaker::all_steps($definition->{steps});
	my $reached = $graph->behind(map { Graph::names($_->{next}) } @handlers);
	calm($_) for ProcessMaker::all_steps([ map { $graph->{step}{$_}{def} } sort keys %$reached ]);
}

# What the event has brought, wherever it may be known.
sub save_events
{
	my ($steps, $everywhere, @more) = @_;
	my $handled = $graph->behind(map { Graph::names($_->{next}) } grep { begins_by_event($_) } @more, map { @{ $_->{catch} // [] } } @$steps);
	for my $step (@$steps)
	{
		my $name = $step->{step};
		my $has = $everywhere || $handled->{$name};
		save_events($step->{steps}, $has) if $step->{steps};
		next if !$has || chance(0.4);
		my $key = $step->{set} ? 'set' : $step->{http} || $step->{sql} ? 'save_reply' : 'save';
		$step->{$key}{"event_$name"} = '${$caught.event.data.n ?? 0}';
	}
}

sub renew { my ($definition) = @_; Graph::forget_all(); return $graph = Graph->new($definition) }

sub add
{
	my ($definition, $seed, $name) = @_;
	return undef unless $seed % 2;
	$names = { messages => [ "A $name", "B $name" ], signals => [ "S $name", "T $name" ], $seed % 4 == 1 || $seed % 8 == 3 ? (topic => "W $name") : () };
	$soon = JSON::PP->new->encode($definition) =~ /"(@{[ join('|', map { quotemeta } grep { $_ ne $SOON{pause} } values %SOON) ]})"/;
	$definition->{data}{c} = 0;
	of_the_process(renew($definition) && $definition) if chance(0.2);
	renew($definition);
	change_all($definition->{steps}, $graph->{step}{$Graph::PROCESS} ? 1 : 0);
	renew($definition);
	calm_what_repeats($definition);
	save_events($definition->{steps}, 0, @{ $definition->{catch} // [] });
	Graph::forget_all();
	return $names;
}

1;
