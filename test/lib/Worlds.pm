#
# Worlds.pm
#		All that may have become of a process: simulators, one for each order in which things may have happened.
#
#   my $worlds = Worlds->new($sim);
#   $worlds->happens($targets, $event);     something comes from outside, before, amid or after what goes on by itself
#   $worlds->answered($answer)              is that possible? Worlds with other answers are no more
#   $worlds->seen($seen, $is_open)          might it be so? Worlds in which it is not are no more, once one of them is at rest so
#   $worlds->all, ->some, ->expected         all of them; one; what those that are at rest look like
#
# Clocks of different tokens, executors, replies and calls race with each other. So whatever can happen is tried, in any order, from
# each world that what was seen leaves over.
#
package Worlds;

use strict;
use warnings;

use Scalar::Util qw(looks_like_number);

our $most = 0;
my $MOST = 2000; # more of them nobody can look at
my $LONGEST = 2; # seconds of CPU, since others wait meanwhile
our $patience = 1; # as many times, for what has happened already

sub new
{
	my ($class, @sims) = @_;
	return bless { all => [ from(@sims) ], known => {} }, $class;
}

# Those, once all is done that is done before anybody sees it, in any order.
sub settled
{
	my ($had, @open) = @_;
	my @settled;
	my $end = $had->{' end'} //= (times)[0] + $LONGEST * $patience;
	while (my $sim = shift @open)
	{
		my @choices = $sim->choices;
		my $visits = $sim->visits;
		while (@choices == 1)
		{
			$sim->choose($choices[0]);
			@choices = $sim->choices;
			die "too much may happen: it does not come to rest\n" if $sim->visits > $visits + 200;
		}
		next if $had->{ $sim->key }++;
		if (@choices) { push @open, map { $sim->copy->choose($_) } @choices }
		else          { push @settled, $sim }
		die 'too much may happen: ' . keys(%$had) . " orders\n" if keys %$had > $MOST * $patience || (times)[0] > $end;
	}
	return @settled;
}

# Those, and all that they can come to by themselves.
sub from
{
	my %had;
	my @open = settled(\%had, @_);
	my @all;
	while (my $sim = shift @open)
	{
		push @all, $sim;
		push @open, settled(\%had, map { $sim->copy->go_on($_) } $sim->moves);
	}
	$most = @all if @all > $most;
	return @all;
}

sub some { return $_[0]{all}[ int(rand(@{ $_[0]{all} })) ] }
sub all  { return @{ $_[0]{all} } }

# $targets tells to which visits it may happen, by index; undef: to none. The event is given the visit and the index. Events are what happens one after the other; their answers are
# answered as one.
sub happens
{
	my ($self, $targets, @events) = @_;
	my @sims = @{ $self->{all} };
	delete $_->{answer} for @sims;
	for my $event (@events)
	{
		my @after;
		for my $sim (@sims)
		{
			for my $i ($targets->($sim))
			{
				my $copy = $sim->copy;
				my $answer = $event->($copy, defined $i && !ref $i ? $copy->{visits}[$i] : undef, $i);
				$copy->{answer} = defined $copy->{answer} ? "$copy->{answer} $answer" : $answer if defined $answer;
				push @after, $copy;
			}
		}
		@sims = settled({}, @after);
	}
	$self->{all} = [ from(@sims) ];
}

# A number that nobody has seen yet is "*".
sub is_answer
{
	my ($expected, $answer) = @_;
	return 1 if $expected eq $answer;
	my $pattern = join('\d+_\d+', map { quotemeta } split(/\*/, $expected, -1));
	return $expected =~ /\*/ && $answer =~ /^$pattern\z/;
}

sub answered
{
	my ($self, $answer) = @_;
	my %possible = map { $_->{answer} => 1 } @{ $self->{all} };
	my @left = grep { is_answer($_->{answer}, $answer) } @{ $self->{all} };
	return join(' or ', map { "\"$_\"" } sort keys %possible) unless @left;
	$self->forget_answers(@left);
	return undef;
}

sub forget_answers
{
	my ($self, @sims) = @_;
	my %had;
	delete $_->{answer} for @sims;
	$self->{all} = [ grep { !$had{ $_->key }++ } @sims ];
}

# ---- how they look ----

# As PostgreSQL shows it, but for true and false, which are 1 and 0, and text that is not within something.
sub json_text
{
	my ($value, $within) = @_;
	return 'null' unless defined $value;
	return $within && !looks_like_number($value) ? "\"$value\"" : $value unless ref $value;
	return '[' . join(', ', map { json_text($_, 1) } @$value) . ']' if ref $value eq 'ARRAY';
	return '{' . join(', ', map { "\"$_\": " . json_text($value->{$_}, 1) } sort { length($a) <=> length($b) || $a cmp $b } keys %$value) . '}';
}

sub data_text
{
	my ($data) = @_;
	return join(' ', map { my $value = json_text($data->{$_}); "$_=" . (looks_like_number($value) ? $value + 0 : $value) } sort keys %$data);
}

sub look_of
{
	my ($status, $data, $late, $kept, $topics, $calls, @visits) = @_;
	return join(' | ', $status, join(', ', sort @visits), data_text($data), "$late late", "$kept kept", "work $topics", "calls $calls");
}

# In which scope: by its number or, as long as nobody has seen that, the name of its step.
sub inside
{
	my ($scope) = @_;
	return $scope ? 'in ' . ($scope->{sn} // $scope->{step}) . ' ' : '';
}

sub of_task { my ($holder) = @_; return defined $holder ? " task of $holder" : '' }

sub of_item { my ($item) = @_; return defined $item ? "[$item]" : '' }

# Numbers are told if they were seen before: which of two new ones is which nobody can know.
sub look_of_sim
{
	my ($sim) = @_;
	my $of_task = sub { my $task = Simulator::task_of($_[0]); return of_task($task && ($task->{holder} // '-')) };
	return look_of($sim->status, $sim->data, $sim->late, $sim->kept_for_long, $sim->topics, $sim->calls,
		map { ($_->{sn} ? "$_->{sn} " : '') . "$_->{step}" . of_item($_->{item}) . ' ' . inside($sim->scope_of($_)) . ($_->{outcome} // $_->{state}) . ($_->{effects} ? " $_->{effects}" : '') . $of_task->($_) } $sim->visits);
}

sub look_of_seen
{
	my ($self, $seen) = @_;
	my $known = $self->{known};
	my %step = map { $_->{sn} => $_->{step} } @{ $seen->{visits} };
	my $in = sub { my ($sn) = @_; return $sn ? inside({ sn => $known->{$sn} ? $sn : undef, step => $step{$sn} }) : '' };
	return look_of($seen->{status}, $seen->{data}, $seen->{late}, $seen->{kept}, $seen->{topics}, $seen->{calls},
		map { ($known->{ $_->{sn} } ? "$_->{sn} " : '') . "$_->{step}" . of_item($_->{item}) . ' ' . $in->($_->{scope}) . $_->{state} . ($_->{effects} ? " $_->{effects}" : '') . of_task($_->{task}) } @{ $seen->{visits} });
}

sub fits_row
{
	my ($sim, $row) = @_;
	return grep { $row->{text} eq $sim->status . " $_" } $sim->shown($row->{serial_step});
}

# ---- what is seen of them ----

# New visits get the numbers of those that are there, in the order in which they came; scopes before what is in them.
sub number
{
	my ($sim, $seen, $known) = @_;
	my %numbers;
	push @{ $numbers{ join(' ', $_->{step} . of_item($_->{item}), $_->{scope} // '', $_->{state}, $_->{effects}) } }, $_->{sn} for grep { !$known->{ $_->{sn} } } @{ $seen->{visits} };
	for my $visit (grep { !$_->{sn} } $sim->visits)
	{
		my $scope = $sim->scope_of($visit);
		$visit->{sn} = shift @{ $numbers{ join(' ', $visit->{step} . of_item($visit->{item}), $scope ? $scope->{sn} // '?' : '', $visit->{outcome} // $visit->{state}, $visit->{effects}) } };
	}
	return $sim;
}

# Does nothing happen any more before something comes from outside, which has been asked for all that it should be?
sub at_rest
{
	my ($sim, $seen) = @_;
	return 0 if $sim->moves;
	return 0 if !$sim->{suspended} && grep { $_->{asked} && !$_->{sent} } $sim->living;
	return 0 if $seen->{row} && !fits_row($sim, $seen->{row});
	return 1;
}

# $is_open tells of a serial number and a kind whether that request has come.
sub seen
{
	my ($self, $seen, $is_open) = @_;
	local $patience = 4;
	my $look = $self->look_of_seen($seen);
	my @left;
	$self->{last} = $look . ($seen->{row} ? " | row: $seen->{row}{text}" : '');
	for my $sim (grep { look_of_sim($_) eq $look } @{ $self->{all} })
	{
		my $copy = number($sim->copy, $seen, $self->{known});
		next if grep { !$_->{sn} } $copy->visits;
		$_->{asked} && $is_open->($_->{sn}, $_->{asked}) and $_->{sent} = 1 for $copy->living;
		push @left, $copy;
	}
	return 0 unless grep { at_rest($_, $seen) } @left;
	$self->{all} = [ from(@left) ];
	$self->{known}{ $_->{sn} } = 1 for @{ $seen->{visits} };
	return 1;
}

sub expected
{
	my ($self, $serial_step) = @_;
	my %looks;
	for my $sim (grep { !$_->moves } @{ $self->{all} })
	{
		my @asked = map { "$_->{asked} of $_->{step}" } grep { $_->{asked} } $sim->living;
		$looks{ look_of_sim($sim) . (@asked ? ' | asked: ' . join(', ', @asked) : '') }++;
	}
	return sort keys %looks;
}

1;
