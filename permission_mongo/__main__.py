"""`python -m permission_mongo`."""

from permission_mongo.cli.main import main

raise SystemExit(main())
