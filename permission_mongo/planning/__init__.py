"""Operation + caller -> Plan. Pure: no query, no clock, no chance. The one room that makes a Guarded filter."""
