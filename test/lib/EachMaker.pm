#
# EachMaker.pm
#		Lets steps of a made-up process be done for each item of a list: of none, one or several, all at once or so many at a time, until it
#		is enough; what they give is collected. It changes what ProcessMaker.pm and EventMaker.pm have made.
#
#   EachMaker::add($definition, $seed);     every third one has such steps
#
# Who leads back does so only when the outside has moved it: so its lists are there, and not empty.
#
package EachMaker;

use strict;
use warnings;

use Graph;
use ProcessMaker;
use StepMaker qw(chance pick is_soon);

# Fields of the data, by how many items there are; `deep` has items with lists of their own.
my %LISTS = (none => [], null => undef, one => [2], single => 1, two => [ 1, 0 ], three => [ 0, 2, 1 ],
	deep => [ { k => 1, l => [ 2, 0 ] }, { k => 0, l => [] }, { k => 2, l => [1] } ], sure => [ { k => 2, l => [1] }, { k => 0, l => [ 0, 1 ] } ]);

my ($graph, %used, $left);

sub list
{
	my ($name) = @_;
	$used{$name} = 1;
	return "\$.$name";
}

sub leads_back
{
	my ($name) = @_;
	return $graph->reaches($name, $name);
}

# ---- which list ----

# $few: of what may become much.
sub some_list
{
	my ($few, $surely) = @_;
	my @sure = (sub { list('one') }, sub { list('single') }, (sub { list('two') }) x 4, (sub { list('three') }) x ($few ? 0 : 4),
		sub { list('three') . '[*] ? (@ > 0)' }, sub { '$.absent ?? ' . list('two') });
	my @others = (sub { list('none') }, sub { list('null') }, sub { '$.absent' }, sub { list('null') . ' ?? ' . list('one') });
	return pick($surely || chance(0.8) ? @sure : @others)->();
}

# ---- what is done with it ----

# Where an item can be seen, $item tells its value.
sub see_item
{
	my ($step, $item) = @_;
	my $name = $step->{step};
	$step->{set}{"set_$name"} = $item if $step->{set} && chance(0.5);
	$step->{set}{v} = $item if $step->{set} && exists $step->{set}{v} && chance(0.4);
	$step->{save}{"item_$name"} = pick($item, '${$index}') if ($step->{wait} || $step->{save}) && chance(0.3);
	$step->{save_reply}{"item_$name"} = pick($item, '${$index}') if $step->{save_reply} && chance(0.4);
	$step->{local}{n} = $item if $step->{local} && chance(0.5);
	$step->{sql} =~ s/RETURNING 1 AS n/RETURNING visit.index AS n/ if $step->{sql} && chance(0.6);
	$step->{call}{data}{n} = $item if $step->{call} && chance(0.6);
	for my $event (grep { ref eq 'HASH' && defined $_->{key} } map { $step->{$_} } qw(wait send))
	{
		$event->{key} = $item if chance(0.5);
	}
	$step->{wait}{data} = $item if ref $step->{wait} eq 'HASH' && $step->{wait}{topic} && chance(0.5);
}

# For steps within, too, but where another list is gone through.
sub see_item_inside
{
	my ($steps, $item) = @_;
	for my $step (grep { !$_->{each} } @$steps)
	{
		see_item($step, $item);
		see_item_inside($step->{steps}, $item) if $step->{steps};
	}
}

sub until_of
{
	my ($step) = @_;
	return pick('$index == 0', '$index == 1', '$result.response.ok == true', '$result.response.ok == true', '$result.response.n > 5', $step->{local} && exists $step->{local}{v} ? () : '$.v == 1');
}

sub go_through
{
	my ($step, $in, $item) = @_;
	my %each = (in => $in);
	$each{parallel} = 1 + int(rand(2)) if chance(0.4);
	$each{until} = until_of($step) if chance(0.3);
	$each{collect} = "list_$step->{step}" if chance(0.6);
	$step->{each} = keys %each == 1 && chance(0.7) ? $in : \%each;
	see_item($step, $item);
}

# ---- all of it ----

sub can_have_items { my ($step) = @_; return !$step->{first_of} && grep { $step->{$_} } qw(http sql notify send call wait set steps) }

sub has_soon { return grep { is_soon($_) } map { ($_->{after}, $_->{every}, $_->{until}) } @{ $_[0]{catch} // [] } }

# Items with lists of their own, of one of the steps within.
sub nest
{
	my ($step) = @_;
	my @inner = grep { can_have_items($_) && !$_->{steps} } ProcessMaker::all_steps($step->{steps});
	return 0 unless @inner;
	my $inner = pick(@inner);
	my $surely = leads_back($step->{step}) || leads_back($inner->{step});
	go_through($inner, '$item.l', '${$item}');
	go_through($step, list($surely ? 'sure' : 'deep'), '${$item.k}');
	see_item_inside($step->{steps}, '${$item.k}');
	return 1;
}

sub change
{
	my ($step) = @_;
	my $few = $left > 8 || $step->{steps} || has_soon($step) || is_soon($step->{heartbeat});
	return if $step->{steps} && chance(0.25) && nest($step);
	go_through($step, some_list($few, leads_back($step->{step})), '${$item}');
	see_item_inside($step->{steps}, '${$item}') if $step->{steps};
}

sub add
{
	my ($definition, $seed) = @_;
	return if $seed % 3;
	my @steps = ProcessMaker::all_steps($definition->{steps});
	my @able = grep { can_have_items($_) } @steps;
	return unless @able;
	Graph::forget_all();
	$graph = Graph->new($definition);
	%used = ();
	$left = @steps;
	for my $step (sort { rand() <=> 0.5 } @able)
	{
		next if $step->{each} || grep { $_->{each} } $step->{steps} ? ProcessMaker::all_steps($step->{steps}) : ();
		change($step);
		last if chance(0.6);
	}
	$definition->{data}{$_} = $LISTS{$_} for keys %used;
	Graph::forget_all();
}

1;
