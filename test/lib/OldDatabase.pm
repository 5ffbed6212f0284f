#
# OldDatabase.pm
#		A database of version 0.1 in which something is alive, as a restore makes it: test/upgrade/0.1.sql.
#
package OldDatabase;

use strict;
use warnings;

use Exporter qw(import);
use FindBin;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(old_roles old_database);

# The roles that a dump does not have. They belong to the cluster.
sub old_roles
{
	my ($node) = @_;
	$node->safe_psql('postgres', "CREATE ROLE $_ LOGIN") for qw(upg_owner upg_client upg_ops upg_reader);
	return;
}

# A dump is restored after CREATE EXTENSION of its version. Options: own => 0, it stays the copy that it is; days => so many have passed since then (0);
# partner => whom its servers are to call; with => SQL to be run before that is over.
sub old_database
{
	my ($node, $name, %option) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->safe_psql($name, "CREATE EXTENSION workflow VERSION '0.1'");
	my ($stdout, $stderr);
	run_log([ 'psql', '-X', '-q', '-d', $node->connstr($name), '-f', "$FindBin::Bin/../upgrade/0.1.sql" ], '>', \$stdout, '2>', \$stderr);
	my @errors = $stderr =~ /^.*ERROR: .*$/mg;
	is(@errors, 1, "a dump of 0.1 is restored in $name") or diag($stderr);
	like($errors[0] // '', qr/schema "workflow" already exists/, 'but for a schema that is there');

	if (my $partner = $option{partner})
	{
		my $url = $partner->url;
		$node->safe_psql($name, "ALTER SERVER $_ OPTIONS (SET url '$url')") for qw(partner slow);
	}
	pass_days($node, $name, $option{days} // 0);
	$node->safe_psql($name, $option{with}) if defined $option{with};
	# as if it had always been this one
	$node->safe_psql($name, <<'EOQ') if $option{own} // 1;
UPDATE workflow.identity SET system_identifier = (SELECT c.system_identifier FROM pg_control_system() c), timeline = (SELECT c.timeline_id FROM pg_control_checkpoint() c),
	database = (SELECT oid FROM pg_database WHERE datname = current_database()), relation = 'workflow.instance'::regclass;
UPDATE workflow.process p SET owner = r.oid FROM pg_roles r WHERE r.rolname = p.owner_name;
UPDATE workflow.process_privilege p SET grantee = r.oid FROM pg_roles r WHERE r.rolname = p.grantee_name;
EOQ
	return;
}

# All times of what lives are so many days before those that they would have if it had been dumped just now.
sub pass_days
{
	my ($node, $name, $days) = @_;
	$node->safe_psql($name, <<"EOQ");
DO \$\$
DECLARE
	passed interval := now() - (SELECT max(entered_at) FROM workflow.visit) - interval '$days days';
	changes text;
	name text;
BEGIN
	FOR name, changes IN SELECT c.relname, string_agg(format('%1\$I = %1\$I + \$1', a.attname), ', ')
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.oid IN ('workflow.instance'::regclass, 'workflow.visit'::regclass, 'workflow.delivery'::regclass) AND a.atttypid = 'timestamptz'::regtype AND a.attnum > 0
		GROUP BY c.relname
	LOOP
		EXECUTE format('UPDATE workflow.%I SET %s', name, changes) USING passed;
	END LOOP;
END \$\$
EOQ
	return;
}

1;
