"""`python -m permission_mongo`."""

from permission_mongo.cli import main

raise SystemExit(main())
