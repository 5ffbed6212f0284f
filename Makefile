# workflow: a PostgreSQL extension (PGXS). `make`, `make install`, `make installcheck`; `make check`, `make demo`, `make bench`;
# `make deb`, `make dist`.
EXTENSION   = workflow workflow_router
EXTVERSION  = 0.2
MODULE_big  = workflow
PGFILEDESC  = "workflow - durable wait states"

SOURCES     = $(wildcard src/*.c src/*/*.c)
OBJS        = $(SOURCES:.c=.o)
ALL_HEADERS = $(wildcard src/*.h src/*/*.h)

SCRIPTS     = bin/workflow-apply

# The order matters: tables first, grants last.
SCHEMA      = $(sort $(wildcard src/schema/*.sql))
DATA_built  = workflow--$(EXTVERSION).sql $(UPDATE) workflow_router--$(EXTVERSION).sql

# From an earlier version: by hand what changes tables, around the same files of src/schema.
OLDVERSION  = 0.1
UPDATE      = workflow--$(OLDVERSION)--$(EXTVERSION).sql
UPDATE_PART = src/upgrade/$(OLDVERSION)--$(EXTVERSION)
DATA        = src/upgrade/workflow--$(OLDVERSION).sql

# The router over several databases: SQL alone. src/router/generate.sql makes a part of it.
ROUTER      = $(sort $(wildcard src/router/[0-9]*.sql))

PG_CPPFLAGS = -I$(srcdir)/src $(shell curl-config --cflags) -DWORKFLOW_VERSION='"$(EXTVERSION)"'
ifdef DEPEND
PG_CPPFLAGS += -MMD -MP
endif
PG_CFLAGS   = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -Wno-cast-function-type -Wno-clobbered
SHLIB_LINK  = $(shell curl-config --libs) -lz
EXTRA_CLEAN = $(DATA_built) $(SOURCES:.c=.d) build

REGRESS     = test_setup $(filter-out test_setup,$(sort $(patsubst sql/%.sql,%,$(wildcard sql/*.sql))))
ISOLATION   = $(sort $(patsubst test/isolation/specs/%.spec,%,$(wildcard test/isolation/specs/*.spec)))
ISOLATION_OPTS = --inputdir=$(srcdir)/test/isolation
# TAP tests need more than a server that runs: test/check has that, and runs the above as well.

# These look after themselves: they install what is missing, build in a directory of their own and start a server of
# their own. PGXS stays out of it, since it may not be there yet and has a target "check" that only refuses.
COMMANDS    = check demo bench deb dist
ifneq (,$(MAKECMDGOALS))
ifeq (,$(filter-out $(COMMANDS),$(MAKECMDGOALS)))
NO_BUILD    = yes
endif
endif

ifdef NO_BUILD

.PHONY: $(COMMANDS)
check demo:
	test/$@
bench:
	test/bench/run
deb dist:
	packaging/$@

else

PG_CONFIG  ?= pg_config
PGXS       := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# What the code takes for the columns of its tables are those of the schema.
workflow--$(EXTVERSION).sql: $(SCHEMA) src/store/columns.c src/store/partition.c src/schema/columns.awk
	@awk -f src/schema/columns.awk src/schema/10_tables.sql src/store/columns.c src/store/partition.c
	@printf '%s\n' '\echo Use "CREATE EXTENSION workflow" to load this file. \quit' > $@
	cat $(SCHEMA) >> $@

$(UPDATE): $(SCHEMA) $(wildcard src/upgrade/*)
	@printf '%s\n' '\echo Use "ALTER EXTENSION workflow UPDATE" to load this file. \quit' > $@
	awk -f src/upgrade/again.awk src/schema/01_schema.sql >> $@
	cat $(UPDATE_PART).before.sql >> $@
	awk -f src/upgrade/again.awk $(filter-out %/00_new.sql %/01_schema.sql,$(SCHEMA)) >> $@
	cat $(UPDATE_PART).after.sql >> $@

# PGXS installs scripts under their names alone, and looks for them with their folders here.
.PHONY: uninstall-scripts
uninstall: uninstall-scripts
uninstall-scripts:
	rm -f $(addprefix '$(DESTDIR)$(bindir)'/,$(notdir $(SCRIPTS)))

workflow_router--$(EXTVERSION).sql: $(ROUTER)
	@printf '%s\n' '\echo Use "CREATE EXTENSION workflow_router" to load this file. \quit' > $@
	cat $(ROUTER) >> $@

# Against a server that runs: what it lacks is said once, before each test fails of it.
.PHONY: ready
installcheck: ready
ready:
	@$(srcdir)/test/ready '$(bindir)/psql'

# DEPEND=1: what the compiler says of headers counts, for who builds often. Bitcode would overwrite that, so not with LLVM.
ifdef DEPEND
-include $(OBJS:.o=.d)
else
$(OBJS): $(ALL_HEADERS)
endif

endif
