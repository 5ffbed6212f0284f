#
# OfferMaker.pm
#		Tasks for people, and topics of work, for the steps that EventMaker.pm makes; and the roles that they are for.
#
#   OfferMaker::task($may_fail)        as an event of a step; $may_fail: perhaps for a role that does not exist
#   OfferMaker::topic($name)
#   OfferMaker::prepare()              SQL that makes the roles, and what workers keep
#
package OfferMaker;

use strict;
use warnings;

use StepMaker qw(chance pick);

# two people are members of one role; `service` may complete visits of every process, and has no task
our ($ALL, @PEOPLE) = qw(clerks ann ben);
our $NOBODY = 'nobody_at_all';

sub task
{
	my ($may_fail) = @_;
	my $whom = $may_fail && chance(0.06) ? { roles => [$NOBODY] }
	  : pick({ roles => [$ALL] }, { roles => [$ALL] }, { assignee => pick(@PEOPLE) }, { assignee => pick(@PEOPLE), roles => [$ALL] }, { assignee => $ALL });
	return { task => { title => 'Do ${$.v}', %$whom, chance(0.3) ? (due => '2 days') : () } };
}

sub topic
{
	my ($name) = @_;
	return { topic => $name, chance(0.7) ? (data => '${$.v}') : () };
}

# Of each serial number the lock tokens in the order of the fetches; what a fetch has given, as Simulator/Offers.pm says it.
sub prepare
{
	return <<'EOF_SQL';
CREATE ROLE clerks; CREATE ROLE ann IN ROLE clerks; CREATE ROLE ben IN ROLE clerks; CREATE ROLE service;
GRANT USAGE ON SCHEMA workflow TO clerks, service;
CREATE TABLE fetched (sn text, n bigint, lock_token uuid, PRIMARY KEY (sn, n));
GRANT SELECT ON fetched TO clerks, service;
CREATE FUNCTION fetch_work(topic text, n integer, lock interval) RETURNS text LANGUAGE sql AS '
	WITH f AS (SELECT * FROM workflow.fetch(topic, n, lock)),
	noted AS (INSERT INTO fetched SELECT f.serial_number, 1 + (SELECT count(*) FROM fetched o WHERE o.sn = f.serial_number), f.lock_token FROM f)
	SELECT coalesce(string_agg(concat_ws($$ $$, v.step, coalesce(f.data::text, $$-$$), f.serial_number), $$, $$
		ORDER BY v.step, coalesce(f.data::text, $$-$$), split_part(f.serial_number, $$_$$, 2)::bigint), $$$$)
	FROM f JOIN workflow.visits v USING (serial_number)';
CREATE FUNCTION token(sn text, n bigint) RETURNS uuid STABLE LANGUAGE sql AS '
	SELECT coalesce((SELECT lock_token FROM fetched f WHERE f.sn = $1 AND f.n = $2), gen_random_uuid())';
EOF_SQL
}

1;
