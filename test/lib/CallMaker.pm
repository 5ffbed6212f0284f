#
# CallMaker.pm
#		Lets steps of a made-up process call others, which are the same for all: what ends at once, well or badly; what a clock or the outside
#		ends; what calls again; what sends an escalation. It changes what ProcessMaker.pm and EventMaker.pm have made.
#
#   CallMaker::definitions()                as [name, definition], in the order in which they are defined
#   CallMaker::ends($process, $version)     how such a process ends: {how, at_once, by_itself, outside, escalates, adds}; undef: there is none
#   CallMaker::add($definition, $seed, $name)  every fifth one has such steps; $name: that no other process has
#
package CallMaker;

use strict;
use warnings;

use Graph;
use ProcessMaker;
use StepMaker qw(chance pick true);

# adds: what the number that it was given has become more by
my %ENDS = (
	'called at once'  => { how => 'completed', at_once => 1, adds => 2 },
	'called to fail'  => { how => 'E1', at_once => 1 },
	'called to abort' => { how => 'aborted', at_once => 1 },
	'called to wait'  => { outside => 1 },
	'called for time' => { by_itself => 1, adds => 1 },
	'called to call'  => { by_itself => 1, adds => 11 },
	'called to tell'  => { by_itself => 1, escalates => 1, adds => 0 });

sub ends
{
	my ($process, $version) = @_;
	return { %{ $ENDS{$process} }, adds => 1 } if $ENDS{$process} && ($version // 0) == 1 && $process eq 'called at once';
	return $ENDS{$process};
}

sub definition { return { data => { n => 0, ok => true }, steps => [@_] } }

sub definitions
{
	my $clock = { step => 'w', wait => { after => $StepMaker::SOON{beside} } };
	my $add = sub { return { step => 'a', set => { n => '${$.n + ' . $_[0] . '}' } } };
	return (
		[ 'called at once', definition($add->(1)) ],
		[ 'called at once', definition($add->(2)) ],
		[ 'called to fail',  definition({ step => 'f', end => { error => 'E1', message => 'no' } }) ],
		[ 'called to abort', definition({ step => 'f', end => { abort => 'enough' } }) ],
		[ 'called to wait',  definition({ step => 'w', wait => true, save => { n => '${$result.response.n}' } }) ],
		[ 'called for time', definition($clock, $add->(1)) ],
		[ 'called to call',  definition({ step => 'c', call => { process => 'called for time', data => { n => '${$.n}' } }, save => { n => '${$reply.n}' } }, $add->(10)) ],
		[ 'called to tell',  definition({ step => 's', send => { escalation => 'X', data => { n => 4, ok => true } } }) ]);
}

# What it does instead of what it did. What something else has changed, it saves.
sub call
{
	my ($step, $is_circle, $name) = @_;
	my $set = delete $step->{set} // {};
	$step->{save}{$_} = $set->{$_} for grep { /^(caught|error|event)_/ } keys %$set;
	delete @$step{qw(sql notify retry save_reply)};
	my $process = $is_circle ? 'called to wait' : pick(sort(keys %ENDS), 'called to wait', 'nothing to call');
	my $at_once = $process eq 'called at once' && chance(0.5);
	$step->{call} = { process => $process, data => { n => chance(0.5) ? '${$.v}' : 1 + int(rand(5)) }, $at_once ? (version => pick(1, 2)) : () };
	$step->{call}{business_key} = pick("K $name", "K $name", "K $name " . '${$.v}') if !$is_circle && chance(0.4);
	$step->{save_reply} = { "reply_$step->{step}" => '${$reply.n}' } if chance(0.6);
	$step->{timeout} //= $StepMaker::NEVER if chance(0.2);
}

sub can_call
{
	my ($step) = @_;
	return 0 if $step->{first_of} || ($step->{sql} // '') =~ /complete/ || (ref $step->{wait} eq 'HASH' && $step->{wait}{when});
	return !grep { $step->{$_} } qw(http send steps);
}

sub add
{
	my ($definition, $seed, $name) = @_;
	return if $seed % 5;
	Graph::forget_all();
	my $graph = Graph->new($definition);
	for my $step (sort { rand() <=> 0.5 } grep { can_call($_) } ProcessMaker::all_steps($definition->{steps}))
	{
		call($step, $graph->reaches($step->{step}, $step->{step}), $name);
		last if chance(0.5);
	}
	Graph::forget_all();
}

1;
