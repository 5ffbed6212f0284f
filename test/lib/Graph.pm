#
# Graph.pm
#		Which steps a definition leads to from which: its lists of steps, and the ways through each of them.
#
#   my $graph = Graph->new($definition);
#   $graph->{step}{$name}       of each step, at any depth: {def, list, follows}; follows: the step after it in its list, or undef
#   $graph->{start}             the step that is entered first, $graph->{lists}[$list]{start} that of a list
#   $graph->targets($name)      steps that one leads to when it succeeds, ->caught($name): its handlers; ->own_targets($name): without those
#                               of the first of several events
#   $graph->names_message($name)  does any step wait for it?  ->is_sent_to($step): does that wait for what some step sends?
#   $graph->reaches($from, $to) is there a way of at least one step?
#   $graph->renews($name, $join)  does every way to that join go through the step, which is another one?
#   $graph->renews_any($name)     is there such a join?
#
# A step with `each` is two: that of the whole, to which routes lead, and its `item`, which is done for each of them.
#
# A process that has a timeout or handlers is a list of its own: the step "(process)", and what its handlers lead to.
#
package Graph;

use strict;
use warnings;

our $PROCESS = '(process)';

my %made;

sub new
{
	my ($class, $definition) = @_;
	return $made{$definition}{graph} if $made{$definition};
	my $self = bless { step => {}, lists => [], ways => {} }, $class;
	if ($definition->{timeout} || $definition->{catch}) { $self->add_process($definition) }
	else                                                { $self->add_list($definition->{steps}, $definition->{start}) }
	$self->{start} = $self->{lists}[0]{start};
	$made{$definition} = { graph => $self, definition => $definition };
	return $self;
}

my %OF_WHOLE = map { $_ => 1 } qw(step each timeout catch ignore_cancel async join next choose end);

sub split_in_two
{
	my ($step) = @_;
	return $step unless $step->{each};
	my %item = map { $_ => $step->{$_} } grep { !$OF_WHOLE{$_} } keys %$step;
	return { (map { $_ => $step->{$_} } grep { $OF_WHOLE{$_} } keys %$step), item => { %item, step => $step->{step}, is_item => 1 } };
}

# Definitions may change then.
sub forget_all { %made = () }

# Those of @$among make the list; what follows is as they were written.
sub add_list
{
	my ($self, $steps, $start, $among) = @_;
	my @names = map { $_->{step} } @$steps;
	my %among = map { $_ => 1 } $among ? @$among : @names;
	my $list = @{ $self->{lists} };
	push @{ $self->{lists} }, { steps => [ grep { $among{$_} } @names ], start => $start // (grep { $among{$_} } @names)[0] };
	for my $i (grep { $among{ $names[$_] } } 0 .. $#names)
	{
		my $next = $names[ $i + 1 ];
		$self->{step}{ $names[$i] } = { def => split_in_two($steps->[$i]), list => $list, follows => defined $next && $among{$next} ? $next : undef };
		$self->add_list($steps->[$i]{steps}) if $steps->[$i]{steps};
	}
	return $list;
}

sub add_process
{
	my ($self, $definition) = @_;
	my $process = { step => $PROCESS, steps => $definition->{steps}, map { $_ => $definition->{$_} } grep { $definition->{$_} } qw(timeout catch) };
	my $probe = Graph->new({ steps => $definition->{steps} });
	my @handled = keys %{ $probe->behind(map { listed($_->{next}) } @{ $definition->{catch} // [] }) };
	my %handled = map { $_ => 1 } @handled;

	$self->add_list([ @{ $definition->{steps} } ], $PROCESS, \@handled);
	$self->{step}{$PROCESS} = { def => $process, list => 0, follows => undef };
	unshift @{ $self->{lists}[0]{steps} }, $PROCESS;
	my @rest = grep { !$handled{$_} } map { $_->{step} } @{ $definition->{steps} };
	$process->{inner} = $self->add_list($definition->{steps}, $definition->{start} // $rest[0], \@rest);
}

sub listed { return ref $_[0] eq 'ARRAY' ? @{ $_[0] } : $_[0] }

# Of a value of "next": all names in it.
sub names
{
	my ($next) = @_;
	return map { ref $_ eq 'HASH' ? listed($_->{next} // $_->{else}) : $_ } listed($next);
}

sub caught { my ($self, $name) = @_; return map { names($_->{next}) } @{ $self->{step}{$name}{def}{catch} // [] } }

# Of the step itself, and of the first of several events.
sub own_targets
{
	my ($self, $name) = @_;
	my ($def, $follows) = @{ $self->{step}{$name} }{qw(def follows)};
	return names($def->{next}) if exists $def->{next};
	return map { names($_->{next}) } @{ $def->{choose} } if $def->{choose};
	return defined $follows && !$def->{end} && !$def->{first_of} && $name ne $PROCESS ? $follows : ();
}

sub targets
{
	my ($self, $name) = @_;
	return ($self->own_targets($name), map { names($_->{next}) } @{ $self->{step}{$name}{def}{first_of} // [] });
}

sub edges { my ($self, $name) = @_; return ($self->targets($name), $self->caught($name)) }

# Names of the steps that these lead to, and of those themselves; not through $without.
sub behind
{
	my ($self, @open) = @_;
	return $self->behind_without(undef, @open);
}

sub behind_without
{
	my ($self, $without, @open) = @_;
	my %seen;
	while (defined(my $name = shift @open))
	{
		next if defined $without && $name eq $without;
		push @open, $self->edges($name) unless $seen{$name}++;
	}
	return \%seen;
}

sub reaches
{
	my ($self, $from, $to) = @_;
	$self->{ways}{$from} //= $self->behind($self->edges($from));
	return $self->{ways}{$from}{$to};
}

sub renews
{
	my ($self, $name, $join) = @_;
	return 0 if $name eq $join || $self->{step}{$name}{list} != $self->{step}{$join}{list};
	my $start = $self->{lists}[ $self->{step}{$name}{list} ]{start};
	return $self->{renews}{$name}{$join} //= $self->behind_without($name, $start)->{$join} ? 0 : 1;
}

sub renews_any
{
	my ($self, $name) = @_;
	return $self->{renews_any}{$name} //= scalar grep { $self->{step}{$_}{def}{join} && $self->renews($name, $_) } keys %{ $self->{step} };
}

# Does any step wait for it?
sub names_message
{
	my ($self, $name) = @_;
	return $self->{messages}{$name} //= scalar grep { $_ eq $name } map { messages_of($_) } $self->defs;
}

# Of all steps, and of their items.
sub both { my ($def) = @_; return ($def, $def->{item} // ()) }
sub defs { my ($self) = @_; return map { both($_->{def}) } values %{ $self->{step} } }

sub messages_of { my ($def) = @_; return grep { defined } map { $_->{message} } @{ $def->{first_of} // [] }, @{ $def->{catch} // [] }, ref $def->{wait} eq 'HASH' ? $def->{wait} : () }

# Does it wait for a message that some step sends?
sub is_sent_to
{
	my ($self, $name) = @_;
	my $sent = $self->{sent} //= { map { $_->{send}{message} => 1 } grep { $_->{send} && $_->{send}{message} } $self->defs };
	return $self->{sent_to}{$name} //= scalar grep { $sent->{$_} } map { messages_of($_) } both($self->{step}{$name}{def});
}

sub inner
{
	my ($self, $name) = @_;
	my $def = $self->{step}{$name}{def};
	return $self->{lists}[ $def->{inner} ]{start} if $name eq $PROCESS;
	return ($def->{item} // $def)->{steps}[0]{step};
}

1;
