#
# Simulator/Items.pm
#		Steps that are done for each item of a list: which items there are, how many are under way, when it is enough, what they give.
#
# The whole is a scope, in which a visit lives for each item; it has `list`, how many were `begun`, and what they have `given`. Its step
# is what Graph.pm makes of it: that of the whole, with that of its items as `item`.
#
package Simulator;

use strict;
use warnings;

sub is_whole { return $_[0]{def}{each} ? 1 : 0 }
sub is_item  { return $_[0]{def}{is_item} ? 1 : 0 }

sub each_of { my ($whole) = @_; my $each = $whole->{def}{each}; return ref $each ? $each : { in => $each } }

# ---- the list ----

# Values of a part of it, or undef if its place is not there.
sub values_of
{
	my ($self, $visit, $part) = @_;
	my ($root, $field, $filter) = $part =~ /^(\$|\$item)\.(\w+)(\[\*\] \? \(\@ > 0\))?$/ or die "what is $part?\n";
	my $in = $root eq '$' ? $self->{data} : $self->item_around($visit);
	return undef unless exists $in->{$field};
	my $value = $in->{$field};
	my @values = !defined $value ? () : ref $value eq 'ARRAY' ? @$value : $value;
	return [ $filter ? grep { $_ > 0 } @values : @values ];
}

# The first that is there, and not empty, else one that is empty.
sub list_of
{
	my ($self, $visit) = @_;
	my @parts = split(/ \?\? /, each_of($visit)->{in});
	my @there = grep { $_ } map { $self->values_of($visit, $_) } @parts;
	return ((grep { @$_ } @there), @there)[0];
}

sub begin_list
{
	my ($self, $visit) = @_;
	my $list = $self->list_of($visit) // return $self->bad($visit, 'SYSTEM_ERROR', 'template');
	@$visit{qw(state list begun given)} = ('waiting', $list, 0, {});
}

# ---- how many are under way ----

sub has_incident
{
	my ($self, $visit) = @_;
	return $visit->{state} eq 'incident' || grep { $self->has_incident($_) } $self->inside($visit);
}

sub tokens_to_items { my ($self, $whole) = @_; return grep { ($_->{scope} // -1) == $whole->{id} } @{ $self->{on_their_way} } }

# How many more may begin.
sub room
{
	my ($self, $whole) = @_;
	return 0 if $whole->{outcome} || $whole->{state} ne 'waiting' || !$whole->{list} || ($self->is_ending($whole) && !$whole->{def}{ignore_cancel});
	my $left = @{ $whole->{list} } - $whole->{begun};
	my $parallel = each_of($whole)->{parallel} // return $left;
	my @items = $self->inside($whole);
	my $running = @items + $self->tokens_to_items($whole) - ($parallel > 1 ? scalar grep { $self->has_incident($_) } @items : 0);
	my $room = $parallel - $running;
	return $room < $left ? $room : $left;
}

sub has_more_items { my ($whole) = @_; return is_whole($whole) && !$whole->{ending} && @{ $whole->{list} // [] } > ($whole->{begun} // 0) }

# While it is suspended none begins. Those begin a moment after it was resumed, unless something else lets them begin before.
sub choices_of_items
{
	my ($self) = @_;
	my @wholes = grep { !$_->{outcome} && is_whole($_) && !$_->{due} && $self->room($_) > 0 } $self->visits;
	return map { [ $self->{suspended} ? 'put_off' : 'items', $_->{id} ] } @wholes;
}

sub begin_items
{
	my ($self, $whole) = @_;
	for (1 .. $self->room($whole))
	{
		push @{ $self->{on_their_way} },
		  { scope => $whole->{id}, late => {}, unbegun => 0, caught => $whole->{caught}, to => $whole->{step}, item => $whole->{begun}++ };
	}
}

# The first ones first.
sub is_before_its_turn
{
	my ($self, $i) = @_;
	my $token = $self->{on_their_way}[$i];
	return defined $token->{item} && grep { defined $_->{item} && $_->{scope} == $token->{scope} } @{ $self->{on_their_way} }[ 0 .. $i - 1 ];
}

# Something is over in these items, or stands: others may have their turn.
sub gives_way
{
	my ($self, $visit) = @_;
	return if $self->{suspended};
	for (my $at = $visit; $at; $at = $self->scope_of($at))
	{
		my $whole = is_item($at) ? $self->scope_of($at) : next;
		delete $whole->{due};
	}
}

# ---- what an item sees ----

sub item_visit_around
{
	my ($self, $visit) = @_;
	my $at = $visit;
	$at = $self->scope_of($at) while $at && !is_item($at);
	return $at;
}

# The item in whose steps it is.
sub item_of_steps { my ($self, $of) = @_; my $scope = $self->scope_of($of); return $scope && $self->item_visit_around($scope) }

# The value of the nearest one.
sub item_around
{
	my ($self, $visit) = @_;
	my $item = $self->item_visit_around($visit);
	return $self->scope_of($item)->{list}[ $item->{item} ];
}

# A number has no members.
sub member { my ($item, $name) = @_; return ref $item eq 'HASH' ? $item->{$name} : 'null' }

# What a template of its item, or of a field, gives; undef if it is neither.
sub worked_out
{
	my ($self, $visit, $template) = @_;
	return undef unless defined $template && !ref $template && $template =~ /^\$\{\$(.*)\}$/;
	return $self->field($visit, $1) if $1 =~ /^\.(\w+)$/;
	return $self->item_visit_around($visit)->{item} if $1 eq 'index';
	return $self->item_around($visit) if $1 eq 'item';
	return member($self->item_around($visit), $1) if $1 =~ /^item\.(\w+)$/;
	return undef;
}

# ---- what they give, and when it is enough ----

sub given
{
	my ($visit) = @_;
	my $of = $visit->{has_callback} ? $visit->{event} // $visit->{callback} : $visit->{local} // $visit->{reply};
	return $visit->{has_callback} ? undef : $visit->{told} unless ref $of;
	my %given = map { $_ => $of->{$_} } grep { $_ ne 'kind' } keys %$of;
	return %given || !exists $of->{kind} ? \%given : undef;
}

sub is_enough
{
	my ($self, $of, $until, $index, $response) = @_;
	return $self->is_true($of, $until) if $until =~ /^\$\.\w+ /;
	return $index == $1 if $until =~ /^\$index == (\d)$/;
	$response = {} unless ref $response;
	return $response->{ok} ? 1 : 0 if $until eq '$result.response.ok == true';
	return ($response->{n} // 0) > $1 if $until =~ /^\$result\.response\.n > (\d)$/;
	die "what is $until?\n";
}

# It has succeeded, and hands that over. $of tells where it was.
sub end_item
{
	my ($self, $of, $index, $given) = @_;
	my $whole = $self->scope_of($of);
	my $until = each_of($whole)->{until};
	$whole->{given} = { %{ $whole->{given} }, $index => $given };
	$self->close_scope($whole) if defined $until && $self->is_enough($of, $until, $index, $given);
}

# Whoever goes on without them says what that is.
sub collect
{
	my ($self, $whole) = @_;
	my $field = each_of($whole)->{collect} // return;
	my $given = $whole->{given};
	$self->store($whole, $field, $whole->{has_callback} ? $whole->{callback} : [ map { $given->{$_} } 0 .. $#{ $whole->{list} } ]);
}

1;
