#
# ALTER EXTENSION UPDATE gives the very schema that CREATE EXTENSION gives. CONTRIBUTING.md says what to do if it does not: a change of a table, or of
# the arguments of a function, needs a line in src/upgrade.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $node = new_server('main', extension => 0);

# All that the catalogs say of the extension, a line each, without OIDs and the physical places of columns.
my $schemas = "('workflow'::regnamespace, 'workflow_data'::regnamespace)";
my $catalogs = <<"EOQ";
SELECT replace(line, E'\n', ' ') FROM (
	SELECT concat_ws(' | ', 'schema', nspname, pg_get_userbyid(nspowner), (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(nspacl) a), obj_description(oid, 'pg_namespace')) FROM pg_namespace WHERE oid IN $schemas
	UNION ALL
	SELECT concat_ws(' | ', 'relation', oid::regclass, relkind, relpersistence, relreplident, pg_get_userbyid(relowner), reloptions, (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(relacl) a), relrowsecurity,
		relforcerowsecurity, reltablespace, obj_description(oid, 'pg_class')) FROM pg_class WHERE relnamespace IN $schemas
	UNION ALL
	SELECT concat_ws(' | ', 'column', attrelid::regclass, attname, count(*) FILTER (WHERE NOT attisdropped) OVER (PARTITION BY attrelid ORDER BY attnum), format_type(atttypid, atttypmod), attnotnull,
		attidentity, attgenerated, attstorage, attcompression, attcollation::regcollation, attacl, pg_get_expr(d.adbin, d.adrelid), col_description(attrelid, attnum))
	FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
	WHERE c.relnamespace IN $schemas AND c.relkind IN ('r', 'p', 'v') AND attnum > 0
	UNION ALL
	SELECT concat_ws(' | ', 'constraint', conrelid::regclass, conname, contype, convalidated, condeferrable, pg_get_constraintdef(oid)) FROM pg_constraint WHERE connamespace IN $schemas
	UNION ALL
	SELECT concat_ws(' | ', 'index', indexrelid::regclass, pg_get_indexdef(indexrelid), indisvalid, indisreplident, obj_description(indexrelid, 'pg_class')) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace IN $schemas
	UNION ALL
	SELECT concat_ws(' | ', 'sequence', seqrelid::regclass, seqtypid::regtype, seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle) FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid WHERE c.relnamespace IN $schemas
	UNION ALL
	SELECT concat_ws(' | ', 'function', oid::regprocedure, pg_get_userbyid(proowner), pg_get_functiondef(oid), (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(proacl) a), obj_description(oid, 'pg_proc')) FROM pg_proc WHERE pronamespace IN $schemas
	UNION ALL
	SELECT concat_ws(' | ', 'view', oid::regclass, pg_get_viewdef(oid)) FROM pg_class WHERE relnamespace IN $schemas AND relkind = 'v'
	UNION ALL
	SELECT concat_ws(' | ', 'trigger', tgrelid::regclass, pg_get_triggerdef(t.oid), tgenabled) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace IN $schemas AND NOT tgisinternal
	UNION ALL
	SELECT concat_ws(' | ', 'rule', ev_class::regclass, rulename) FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class WHERE c.relnamespace IN $schemas
	UNION ALL
	SELECT concat_ws(' | ', 'statistics', stxname, pg_get_statisticsobjdef(oid)) FROM pg_statistic_ext WHERE stxnamespace IN $schemas
	UNION ALL
	SELECT concat_ws(' | ', 'policy', polname, polrelid::regclass) FROM pg_policy
	UNION ALL
	SELECT concat_ws(' | ', 'wrapper', fdwname, pg_get_userbyid(fdwowner), fdwvalidator::regprocedure, fdwhandler::regprocedure, fdwoptions, fdwacl, obj_description(oid, 'pg_foreign_data_wrapper')) FROM pg_foreign_data_wrapper
	UNION ALL
	SELECT concat_ws(' | ', 'extension', extname, extversion, pg_get_userbyid(extowner), extnamespace::regnamespace, extrelocatable, obj_description(oid, 'pg_extension')) FROM pg_extension WHERE extname = 'workflow'
	UNION ALL
	SELECT concat_ws(' | ', 'dumped', c.oid::regclass, c.condition) FROM pg_extension e, unnest(e.extconfig, e.extcondition) c (oid, condition) WHERE extname = 'workflow'
	UNION ALL
	SELECT concat_ws(' | ', 'member', pg_describe_object(classid, objid, objsubid)) FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid WHERE d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'workflow'
	UNION ALL
	SELECT concat_ws(' | ', 'given', pg_describe_object(i.classoid, i.objoid, i.objsubid), privtype, (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(initprivs) a)) FROM pg_init_privs i
		WHERE (classoid, objoid) IN (SELECT classid, objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid WHERE d.deptype = 'e' AND e.extname = 'workflow')
	UNION ALL
	SELECT concat_ws(' | ', 'type', oid::regtype) FROM pg_type WHERE typnamespace IN $schemas) q (line) ORDER BY line COLLATE "C"
EOQ

$node->safe_psql('postgres', 'CREATE DATABASE fresh');
$node->safe_psql('postgres', 'CREATE DATABASE updated');
$node->safe_psql('fresh', 'CREATE EXTENSION workflow');
$node->safe_psql('updated', "CREATE EXTENSION workflow VERSION '0.1'");
is($node->safe_psql('updated', "SELECT extversion FROM pg_extension WHERE extname = 'workflow'"), '0.1', 'an old version can be had');
$node->safe_psql('updated', 'ALTER EXTENSION workflow UPDATE');

my @fresh = split /\n/, $node->safe_psql('fresh', $catalogs);
my @updated = split /\n/, $node->safe_psql('updated', $catalogs);
cmp_ok(scalar @fresh, '>', 800, 'there is something to compare');

my %count;
$count{$_}++ for @fresh;
$count{$_}-- for @updated;
my @lacking = grep { $count{$_} > 0 } sort keys %count;
my @left = grep { $count{$_} < 0 } sort keys %count;
ok(!@lacking, 'what CREATE EXTENSION gives, ALTER EXTENSION UPDATE gives, too (see "A change of the schema" in CONTRIBUTING.md)')
  or diag('after the update there is no', "\n", join("\n", @lacking[ 0 .. ($#lacking < 20 ? $#lacking : 20) ]));
ok(!@left, 'and nothing else (see there)') or diag('left over, or different, is', "\n", join("\n", @left[ 0 .. ($#left < 20 ? $#left : 20) ]));

# Everything works in it, and its partitions are those of any other.
my $use = q[SELECT workflow.define('p', '{"steps": [{"step": "a", "wait": true}, {"step": "b", "sql": "SELECT 1"}]}');
	SELECT workflow.start('p');
	SELECT workflow.complete(serial_number) FROM workflow.waiting];
$node->safe_psql($_, $use) for qw(fresh updated);
is_soon($node, $_, 'SELECT status FROM workflow.instances', 'completed', "it works in $_") for qw(fresh updated);

$node->stop;
done_testing();
