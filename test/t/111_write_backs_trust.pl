#
# Code of other roles that comes between the look for it and the write-back: whoever has something locked meanwhile, which the
# write-back has to wait for, commits it then.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;
use WorkflowTest;

my $node = new_server('trust_in_time');
sub sql { return $node->safe_psql('postgres', $_[0]) }

sql(q[
	CREATE ROLE dev;
	GRANT CREATE, USAGE ON SCHEMA public TO dev;
	CREATE TABLE ran (what text, as_whom name);
	GRANT INSERT ON ran TO PUBLIC;
	SELECT workflow.define('w', '{"steps": [{"step": "a", "wait": true}]}');
	SET ROLE dev;
	CREATE FUNCTION foreign_code() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.ran VALUES (tg_table_name, current_user); RETURN new; END $$;
	CREATE FUNCTION foreign_check(text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.ran VALUES ('check', current_user); RETURN true; END $$;
	RESET ROLE;
	CREATE DOMAIN label AS text;
	CREATE TABLE parted (id int PRIMARY KEY, state text) PARTITION BY RANGE (id);
	CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (10);
	CREATE TABLE keyed (id int PRIMARY KEY, state text UNIQUE);
	CREATE TABLE follower (state text REFERENCES keyed (state) ON UPDATE CASCADE);
	CREATE TABLE labelled (id int PRIMARY KEY, state label);
	GRANT TRIGGER ON part, follower TO dev;
	GRANT SELECT, UPDATE ON labelled TO dev;
	SELECT workflow.attach(t::regclass, 'w', status_column => 'state') FROM unnest('{parted,keyed,labelled}'::text[]) t;
	INSERT INTO parted VALUES (1);
	INSERT INTO keyed VALUES (1);
	INSERT INTO follower SELECT state FROM keyed;
	INSERT INTO labelled VALUES (1);]);

# The lock is held until a worker waits for it.
sub brings
{
	my ($table, $change) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 1);
	$session->query_safe("SET ROLE dev; BEGIN; $change");
	sql("SELECT workflow.complete(serial_number) FROM workflow.waiting w JOIN workflow.instances i USING (instance)
		JOIN workflow_data.instance n USING (instance) JOIN workflow_data.attachment a USING (attachment) WHERE a.relation = '$table'::regclass");
	is_soon($node, 'postgres', q[SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.backend_type LIKE '%executor%'],
		't', "$table: the write-back waits");
	$session->query_safe('COMMIT');
	$session->quit;
	is_soon($node, 'postgres', "SELECT error FROM workflow.write_backs WHERE relation = '$table'::regclass", $_[2], "$table: what has come is found");
	is(sql('SELECT * FROM ran'), '', "$table: and not run");
}

my $with = 'with the rights of the owner of the table';
brings('parted', 'CREATE TRIGGER x BEFORE UPDATE ON part FOR EACH ROW EXECUTE FUNCTION foreign_code()', "it would run function public.foreign_code() of role dev $with");
brings('keyed', 'CREATE TRIGGER x AFTER UPDATE ON follower FOR EACH ROW EXECUTE FUNCTION foreign_code()', "it would run function public.foreign_code() of role dev $with");
brings('labelled', 'RESET ROLE; ALTER DOMAIN label OWNER TO dev; SET ROLE dev; ALTER DOMAIN label ADD CONSTRAINT c CHECK (foreign_check(value)) NOT VALID; SELECT FROM labelled FOR UPDATE', "it would run function public.foreign_check(text) of role dev $with");

$node->stop;
done_testing();
