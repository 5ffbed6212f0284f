#
# Shown.pm
#		What psql shows, beside what a page says that it does: widths do not matter, times and durations are others, and serial numbers are
#		others, too, but the same ones throughout the page.
#
#   my $expected = expectation($text);       {rows, messages} of a block of a page
#   same(explain_rows(rows($stdout)), $expected->{rows}, \%known)     %known has the serial numbers that were met so far, by those of the page
#   has_messages($stderr, $expected->{messages})
#
package Shown;

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(rows expectation explain_rows same has_messages $SERIAL);

our $SERIAL = qr/\b\d+_\d+\b/;

# pages call whoever pastes them postgres
our $superuser = 'postgres';

# Rows of a table as psql shows it, or of its unaligned output: cells without the spaces around them.
sub rows
{
	my ($text) = @_;
	return [
		map { [ map { s/^\s+|\s+$//gr } split /\|/, $_, -1 ] }
		grep { !/^[-+\s]*$/ && !/^\(\d+ rows?\)$/ } split /\n/, $text ];
}

sub explain_rows { return join("\n", map { join(' | ', @$_) } @{ $_[0] }) }

# What of a block says what is given: rows, and messages, each a list of lines.
sub expectation
{
	my ($text) = @_;
	my ($table, $messages) = $text =~ /^(.*?)((?:^(?:ERROR|NOTICE|WARNING):.*)?)\z/ms;
	return { rows => explain_rows(rows($table)), messages => [ map { s/^\s+|\s+$//gr } grep { /\S/ } split /\n/, $messages ] };
}

# Are these the same but for times, and for serial numbers, of which %$known has those that were met in this page so far?
sub same
{
	my ($got, $expected, $known) = @_;
	my (%known, %taken) = %$known;
	$got =~ s/\b\Q$superuser\E\b/postgres/g;
	my @got = $got =~ /($SERIAL)/g;
	my @expected = $expected =~ /($SERIAL)/g;
	for ($got, $expected)
	{
		s/$SERIAL/SERIAL/g;
		s/\b[\d.:]+ (ms|s|min|h)\b/DURATION/g;
		s/\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?([+-]\d\d(:?\d\d)?)?/TIME/g;
	}
	return 0 if $got ne $expected;
	for my $i (0 .. $#expected)
	{
		return 0 if ($known{ $expected[$i] } //= $got[$i]) ne $got[$i];
	}
	%taken = reverse %known;
	return 0 if keys %taken != keys %known;
	%$known = %known;
	return 1;
}

# Are these lines there, in this order?
sub has_messages
{
	my ($stderr, $messages) = @_;
	my @lines = map { s/^psql:[^:]*:\d+: //r =~ s/^\s+|\s+$//gr } split /\n/, $stderr;
	for my $message (@$messages)
	{
		shift @lines while @lines && !same($lines[0], $message, {});
		return 0 unless @lines;
		shift @lines;
	}
	return 1;
}

1;
